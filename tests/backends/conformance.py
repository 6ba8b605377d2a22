"""What every backend must keep, whatever its runtime: a test class derives from `Conformance` and gives fixtures.

    class TestMyRuntime(Conformance):
        ran_against = "real"                    # or "stub"; printed, and listed in docs/backends.md

        @pytest.fixture
        def backend(self): …                    # the Adapter
        @pytest.fixture
        def session(self, opened): …            # kept open by a fixture of wider scope, on the demo pair where it can
        @pytest.fixture
        def ending(self, tmp_path): …           # token -> a session that ends a text at this token too (`endings`)

Where a capability says that a runtime cannot, the check becomes: it refuses. A runtime of text only (no token ids in or
out) is held to the same by its text; what it emits beyond the length limit in its last round is left out.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import pytest

from backends.base import Availability, Backend, Session
from results.records import Draft, Generation, Prompt, Request

Recorder = Callable[[str, object], None]
LENGTH = 24
WINDOW = 128
"""The demo pair's sliding window."""
END = 272
"""The 7th token of the demo pair's greedy answer to `SHORT`: within a round's drafts for k of 3 and 4."""

Ending = Callable[[int], AbstractContextManager[Session]]

SHORT = "import os\n\ndef walk(path):\n    "
ODD = "# naïve Привет 你好 🌍🏳️‍🌈\u200d\u202e عربى\ns = '"
LONG = "The following functions are defined:\n\n.. function:: open(path, mode)\n\n   Open the file at *path*.\n" * 6


def prompt_of(session: Session, text: str, key: str = "p") -> Prompt:
    try:
        whole = session.encode(text, chat=False, thinking=False)
    except NotImplementedError:
        return Prompt(key, "conformance", "coding", None, text)
    return Prompt(key, "conformance", "coding", whole.head + whole.content + whole.tail, text)


def one(session: Session, prompt: Prompt, request: Request) -> Generation:
    (generation,) = session.generate([prompt], request)
    return generation


def assert_sound(seen: Generation, request: Request) -> None:
    """The identities of one generation, as far as the runtime reveals anything."""
    text_only = seen.token_ids is None
    beyond = request.draft.length if request.draft and text_only else 0
    assert 0 < seen.n_tokens <= request.max_new_tokens + beyond
    assert seen.arrivals[-1].tokens == seen.n_tokens
    assert text_only or seen.arrivals[0].tokens >= seen.n_prefill  # a busy server sends two steps in one chunk
    assert seen.finish_reason == ("length" if seen.n_tokens >= request.max_new_tokens else "stop")
    assert seen.cached_tokens in (0, None)
    if seen.rounds is not None:
        assert_rounds(seen, request.draft)
    if seen.counts is not None:
        assert_counts(seen, request)


def assert_rounds(seen: Generation, draft: Draft | None) -> None:
    """n = n_prefill + sum emitted; emitted = accepted + 1 but in the last round; no draft longer than asked for."""
    assert seen.rounds is not None
    assert draft is not None
    assert seen.n_tokens == seen.n_prefill + sum(r.emitted for r in seen.rounds)
    assert all(r.emitted == r.accepted + 1 for r in seen.rounds[:-1])
    assert all(r.drafted <= draft.length for r in seen.rounds)
    for r in seen.rounds:
        if r.total_ns is not None and r.draft_ns is not None and r.verify_ns is not None:
            assert r.draft_ns + r.verify_ns <= r.total_ns


def assert_counts(seen: Generation, request: Request) -> None:
    """The same for totals, as far as they are known. What is emitted beyond the length limit cuts no round there."""
    draft = request.draft
    assert seen.counts is not None
    assert draft is not None
    rounds, drafted, accepted = seen.counts.rounds, seen.counts.drafted, seen.counts.accepted
    if rounds is None or drafted is None or accepted is None:
        return
    assert accepted <= drafted <= rounds * draft.length
    lost = seen.n_prefill + rounds + accepted - seen.n_tokens
    assert 0 <= lost <= (0 if seen.n_tokens > request.max_new_tokens else draft.length)


def assert_same_output(seen: Generation, other: Generation) -> None:
    """Equal token ids and text; without ids, equal text as far as both go where the length limit ended them."""
    assert seen.token_ids == other.token_ids
    assert seen.text is not None
    assert other.text is not None
    if seen.token_ids is None and seen.finish_reason == other.finish_reason == "length":
        shorter, longer = sorted((seen.text, other.text), key=len)
        assert longer.startswith(shorter)
    else:
        assert seen.text == other.text


class Conformance:
    """The tests. They need the fixtures `backend`, `session` and `ending`."""

    ran_against: Literal["real", "stub"] = "real"
    draft_lengths = (1, 3)
    """Two that the session takes, or the one that is fixed."""

    def probe(self, backend: Backend) -> Availability:
        """Of a runtime in an environment of its own: `hosted.probed`, which asks there."""
        return backend.probe()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "k" in metafunc.fixturenames:
            metafunc.parametrize("k", self.draft_lengths)

    def test_it_says_what_it_is(self, backend: Backend, session: Session, record_property: Recorder) -> None:
        assert self.probe(backend).usable
        assert session.facts.versions
        assert session.facts.device
        assert session.facts.dtype
        versions = ", ".join(f"{name} {version}" for name, version in session.facts.versions.items())
        record_property("ran against", f"{backend.title}: {self.ran_against} ({versions})")

    def test_a_text_is_encoded_as_a_whole_and_can_be_cut(self, backend: Backend, session: Session) -> None:
        try:
            whole = session.encode(SHORT, chat=False, thinking=False)
        except NotImplementedError:
            assert not backend.capabilities.token_ids_in
            return
        longer = session.encode(SHORT + SHORT, chat=False, thinking=False)
        assert whole.content
        assert len(longer.content) > len(whole.content)
        assert longer.head == whole.head

    @pytest.mark.parametrize("text", [SHORT, ODD, LONG], ids=["short", "unicode", "past-the-window"])
    def test_greedy_tokens_are_the_target_s_own_with_and_without_drafts(
        self, backend: Backend, session: Session, text: str, k: int
    ) -> None:
        prompt = prompt_of(session, text)
        plain = one(session, prompt, Request(LENGTH))
        request = Request(LENGTH, Draft(backend.capabilities.methods[0], k))
        drafted = one(session, prompt, request)
        assert_sound(plain, Request(LENGTH))
        assert_sound(drafted, request)
        assert_same_output(drafted, plain)

    def test_the_long_prompt_is_longer_than_the_sliding_window(self, session: Session) -> None:
        prompt = prompt_of(session, LONG)
        counted = one(session, prompt, Request(1)).prompt_tokens
        assert counted is not None
        assert counted > WINDOW

    @pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
    def test_no_more_tokens_come_than_were_asked_for(
        self, backend: Backend, session: Session, length: int, k: int
    ) -> None:
        prompt = prompt_of(session, SHORT)
        for draft in (None, Draft(backend.capabilities.methods[0], k)):
            request = Request(length, draft, ignore_eos=backend.capabilities.token_ids_out)
            seen = one(session, prompt, request)
            assert_sound(seen, request)
            assert seen.finish_reason == "length"

    def test_an_end_token_ends_the_text_inside_a_round_as_it_does_without_drafts(
        self, backend: Backend, session: Session, ending: Ending
    ) -> None:
        prompt = prompt_of(session, SHORT)
        draft = Draft(backend.capabilities.methods[0], self.draft_lengths[-1])
        whole = one(session, prompt, Request(LENGTH))
        with ending(END) as ours:
            plain = one(ours, prompt, Request(LENGTH))
            drafted = one(ours, prompt, Request(LENGTH, draft))
        assert_sound(plain, Request(LENGTH))
        assert_sound(drafted, Request(LENGTH, draft))
        assert plain.finish_reason == drafted.finish_reason == "stop"
        assert_same_output(drafted, plain)
        if whole.token_ids is not None:
            assert plain.token_ids == whole.token_ids[: whole.token_ids.index(END) + 1]
        else:
            assert plain.text
            assert whole.text is not None
            assert whole.text != plain.text
            assert whole.text.startswith(plain.text)

    def test_an_instrumented_pass_gives_the_same_tokens_and_shows_its_steps(
        self, backend: Backend, session: Session
    ) -> None:
        if "rounds" not in backend.capabilities.captures:
            pytest.skip("no instrumented pass in this runtime")
        prompt = prompt_of(session, SHORT)
        draft = Draft(backend.capabilities.methods[0], self.draft_lengths[-1])
        for arm in (None, draft):
            request = Request(LENGTH, arm, capture="rounds")
            seen = one(session, prompt, request)
            assert_sound(seen, request)
            assert_same_output(seen, one(session, prompt, Request(LENGTH, arm)))
            assert (seen.rounds is None and seen.counts is None) == (arm is None)
            if backend.capabilities.reveals == "rounds":
                assert (seen.rounds is None) == (arm is None)
                assert (seen.steps is None) == (arm is not None)

    def test_the_first_prompts_of_a_closed_loop_end_one_after_the_other(
        self, backend: Backend, session: Session
    ) -> None:
        if backend.capabilities.concurrency != "closed-loop":
            pytest.skip("decodes a batch in one call")
        loop = [prompt_of(session, text) for text in (SHORT, ODD, SHORT)]
        for arm in (None, Draft(backend.capabilities.methods[0], self.draft_lengths[-1])):
            found = session.generate(loop, Request(LENGTH, arm, in_flight=1, staggered=2))
            for prompt, seen, length in zip(loop, found, (LENGTH // 2, LENGTH, LENGTH), strict=True):
                assert_same_output(seen, one(session, prompt, Request(length, arm)))

    def test_one_prompt_leaves_nothing_behind_for_the_next(self, backend: Backend, session: Session) -> None:
        draft = Draft(backend.capabilities.methods[0], self.draft_lengths[-1])
        first, second = prompt_of(session, SHORT), prompt_of(session, ODD)
        alone = one(session, first, Request(LENGTH, draft))
        one(session, second, Request(LENGTH, Draft(draft.method, self.draft_lengths[0])))
        one(session, second, Request(LENGTH))
        again = one(session, first, Request(LENGTH, draft))
        assert (again.token_ids, again.text) == (alone.token_ids, alone.text)
        assert _chunks(again) == _chunks(alone) or backend.capabilities.concurrency == "closed-loop"
        assert (again.rounds, again.counts) == (alone.rounds, alone.counts)

    def test_a_plain_batch_gives_each_row_what_it_gets_alone(self, backend: Backend, session: Session) -> None:
        limit = backend.capabilities.max_batch_plain
        texts = (SHORT, LONG, ODD)[:limit]
        prompts = [prompt_of(session, text, str(i)) for i, text in enumerate(texts)]
        rows = session.generate(prompts, Request(LENGTH))
        assert len(rows) == len(prompts)
        for prompt, row in zip(prompts, rows, strict=True):
            assert_sound(row, Request(LENGTH))
            assert_same_output(row, one(session, prompt, Request(LENGTH)))
            assert row.prompt_tokens
            assert prompt.token_ids is None or row.prompt_tokens == len(prompt.token_ids)

    def test_a_speculative_batch_works_or_is_refused(self, backend: Backend, session: Session) -> None:
        prompts = [prompt_of(session, SHORT, "a"), prompt_of(session, LONG, "b")]
        request = Request(LENGTH, Draft(backend.capabilities.methods[0], self.draft_lengths[-1]))
        limit = backend.capabilities.max_batch_speculative
        if limit is not None and limit < len(prompts):
            with pytest.raises(ValueError, match="batch"):
                session.generate(prompts, request)
            return
        for prompt, row in zip(prompts, session.generate(prompts, request), strict=True):
            assert_sound(row, request)
            assert_same_output(row, one(session, prompt, Request(LENGTH)))

    def test_the_target_s_own_tokens_score_best(self, backend: Backend, session: Session) -> None:
        prompt = prompt_of(session, SHORT)
        if not backend.capabilities.scores:
            with pytest.raises(NotImplementedError):
                session.score(prompt, (1,))
            return
        tokens = one(session, prompt, Request(LENGTH)).token_ids
        assert tokens is not None
        scores = session.score(prompt, tokens)
        assert [(s.position, s.token_id) for s in scores] == [*enumerate(tokens)]
        assert all(s.best_id == s.token_id and s.logit == s.best_logit for s in scores)


def _chunks(seen: Generation) -> Sequence[int]:
    return [arrival.tokens for arrival in seen.arrivals]
