"""Which server an arm goes to, and what is said where that is not clear."""

import pytest

from backends.openai import Adapter
from backends.openai_server.places import place
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

PAIR = Pair("m", "m", None)
BOTH: dict[str, Json] = {"url": "http://fast:1/v1", "plain_url": "http://slow:2/", "draft_length": 4}


def arm(k: int | None, **options: Json) -> EngineConfig:
    return EngineConfig(draft=Draft("mtp", k) if k else None, options=options)


def test_the_plain_arm_goes_to_the_plain_server_and_a_drafted_one_to_the_other() -> None:
    plain, drafted = place(PAIR, arm(None, **BOTH)), place(PAIR, arm(4, **BOTH))
    assert (plain.url, plain.model, plain.draft_length) == ("http://slow:2", "m", None)
    assert (drafted.url, drafted.model, drafted.draft_length) == ("http://fast:1", "m", 4)


def test_servers_may_call_the_model_otherwise() -> None:
    named = {**BOTH, "model": "x", "plain_model": "y"}
    assert place(PAIR, arm(4, **named)).model == "x"
    assert place(PAIR, arm(None, **named)).model == "y"


def test_without_a_plain_server_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(UsageError, match=r"no server without drafts .* -o openai\.plain_url=http://HOST:PORT"):
        place(PAIR, arm(None, url="http://fast:1"))
    with pytest.raises(UsageError, match=r"-o openai\.url=http://HOST:PORT"):
        place(PAIR, arm(None))


def test_the_same_server_twice_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="url and plain_url are both http://a:1"):
        place(PAIR, arm(None, url="http://a:1", plain_url="http://a:1/v1/"))


def test_the_draft_length_is_what_the_user_states() -> None:
    with pytest.raises(UsageError, match=r"drafts 4 tokens a round .*, not 3: ask for -k 4"):
        place(PAIR, arm(3, **BOTH))
    stated = {key: value for key, value in BOTH.items() if key != "draft_length"}
    with pytest.raises(UsageError, match=r"-k 3 cannot set it; state it, -o openai\.draft_length=3"):
        place(PAIR, arm(3, **stated))
    assert place(PAIR, arm(3, **stated, draft_length="unknown")).draft_length is None
    with pytest.raises(UsageError, match=r"openai\.draft_length: expected a whole number .* or unknown, not 'four'"):
        place(PAIR, arm(3, **stated, draft_length="four"))


def test_a_key_is_taken_from_the_environment_only() -> None:
    with pytest.raises(UsageError, match="openai has no option 'api_key'") as caught:
        place(PAIR, arm(None, **BOTH, api_key="sk-very-secret"))
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match=r"openai\.key_env: expected the name of an environment variable") as caught:
        place(PAIR, arm(None, **BOTH, key_env="sk-very-secret"))
    assert "secret" not in str(caught.value)


def test_the_probe_knows_no_server() -> None:
    found = Adapter().probe()
    assert (found.usable, found.version, found.device) == (True, None, "remote")
    assert (found.reason, found.advice) == ("needs the URLs of two servers", "-o openai.url=… -o openai.plain_url=…")
