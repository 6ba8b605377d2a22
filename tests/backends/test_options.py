"""Options of a backend: every mistake has its message, and no secret gets into one."""

import pytest

from backends.options import Options
from results.errors import UsageError

KNOWN = ("url", "length", "start", "way")


def options(**given: object) -> Options:
    return Options("server", given, KNOWN)  # type: ignore[arg-type]


def test_what_is_given_is_read() -> None:
    found = options(url="http://127.0.0.1:8000/v1/", length=4, start=True, way="chat")
    assert found.address("url") == "http://127.0.0.1:8000/v1"
    assert (found.whole("length"), found.flag("start"), found.choice("way", ("text", "chat"))) == (4, True, "chat")


def test_what_is_left_out_is_unknown() -> None:
    found = options()
    assert (found.address("url"), found.text("url"), found.whole("length")) == (None, None, None)
    assert (found.flag("start"), found.choice("way", ("text", "chat"))) == (False, "text")


def test_an_unknown_option_is_answered_with_the_nearest_and_its_value_is_not_quoted() -> None:
    with pytest.raises(UsageError, match=r"server has no option 'lenght': did you mean server\.length\?"):
        options(lenght=3)
    with pytest.raises(UsageError, match="server has no option 'api_key'") as caught:
        options(api_key="sk-secret")
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", True])
def test_a_length_is_a_whole_number(value: object) -> None:
    with pytest.raises(UsageError, match=r"server\.length: expected a whole number of at least 1"):
        options(length=value).whole("length")


@pytest.mark.parametrize("value", ["localhost:8000", "ftp://host/x", "http://", "http://host:port", "http://[bad"])
def test_what_is_no_url_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"server\.url: expected a URL such as"):
        options(url=value).address("url")


@pytest.mark.parametrize("value", ["http://me:secret@host", "http://host/v1?key=secret", "http://host/#secret"])
def test_a_url_that_carries_a_secret_is_refused_without_quoting_it(value: str) -> None:
    with pytest.raises(UsageError, match="keys come from the environment") as caught:
        options(url=value).address("url")
    assert "secret" not in str(caught.value)
