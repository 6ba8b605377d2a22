"""Hugging Face Transformers, in process: `generate`, with assisted generation for the speculative arms.

docs/backends.md says what this runtime does to a measurement. Loading is in `backends.hf.loading`, decoding in
`backends.hf.decoding`; they import PyTorch, so they are imported by the methods that need them, and `probe` can
still say what is missing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from backends import fit
from backends.base import Availability, Backend, Capabilities, Deployment, Session
from backends.hf import deploying
from backends.installed import first_line, installed, numbers
from results.errors import UsageError
from results.records import EngineConfig, Pair

INSTALL = "pip install 'mtpbench[transformers]'"
PIN = "pip install 'transformers==5.22.2'"

TRIED = "5.22.2"
OLDEST = (5, 0, 0)
MTP_UNDERSTATED_UNTIL = (5, 17, 0)
UNDERSTATED = (
    "MTP is refused up to Transformers 5.17.0: it drafts the first token of every round from the wrong hidden state "
    "(huggingface/transformers#48703), so acceptance would be understated"
)
BROKEN = {
    (5, 23, 0): "Transformers 5.23.0 can construct no MTP assistant (kv_sharing_modes), and its dense and MoE targets "
    "hand no keys and values to one"
}

NOTES = (
    "greedy MTP, small-draft-model and prompt-lookup drafts are verified by the target; sampled MTP is biased: drafts "
    "are argmax but judged as if sampled (huggingface/transformers#32867, #47932)",
    "the MTP drafter also sees keys and values of rejected drafts, which costs it some acceptance; measured as it is",
    "prompt lookup and a small draft model may draft during the prefill; those drafts are no round",
)


class Adapter(Backend):
    name = "transformers"
    title = "Hugging Face Transformers"

    def __init__(self) -> None:
        self.capabilities = Capabilities(
            methods=methods_of(installed("transformers")),
            max_batch_plain=None,
            max_batch_speculative=1,  # generate: "assisted generate is only supported for batch_size = 1"
            draft_change="per-request",
            reveals="rounds",
            token_ids_in=True,
            token_ids_out=True,
            sampling=True,
            scores=True,
            captures=("timing", "rounds"),
            formats=("hf", "shapes"),
            concurrency="batch",
            notes=NOTES,
        )

    def probe(self) -> Availability:
        found = installed("transformers")
        if found is None or installed("torch") is None:
            missing = "transformers" if found is None else "torch"
            return Availability(False, found, None, f"{missing} is not installed", INSTALL)
        if reason := refusal(found):
            return Availability(False, found, None, reason, PIN)
        try:
            from backends.hf.loading import best_device
        except (ImportError, OSError) as error:  # a broken installation, e.g. a missing shared library
            return Availability(False, found, None, f"cannot be imported: {first_line(error)}", INSTALL)
        advice = "" if found == TRIED else PIN
        return Availability(True, found, str(best_device()), caveat(found), advice)

    def deployment(self, wanted: Deployment) -> str | None:
        """A program over `generate`."""
        return deploying.snippet(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Loads the target, and the assistant where `engine.methods` has a use for it."""
        found = installed("transformers")
        if found is None:
            raise UsageError(f"transformers is not installed; run: {INSTALL}")
        if reason := refusal(found):
            raise UsageError(f"{reason}; run: {PIN}")
        for method in engine.methods:
            if method not in self.capabilities.methods:
                reason = UNDERSTATED if method == "mtp" else f"Transformers has no draft method {method!r}"
                raise UsageError(f"{reason}; it has {', '.join(self.capabilities.methods)}")
        fit.check(pair, engine.methods)
        from backends.hf.decoding import DecodingSession
        from backends.hf.loading import loaded

        with loaded(pair, engine) as models:
            session = DecodingSession(models)
            try:
                yield session
            finally:
                session.release()


def refusal(found: str) -> str | None:
    """Why this version cannot be used at all; None where it can."""
    if numbers(found) < OLDEST:
        return f"Transformers {found} knows no Gemma 4; 5.20.2 and later do (5.23.0 excepted)"
    return BROKEN.get(numbers(found))


def methods_of(found: str | None) -> tuple[str, ...]:
    """Draft methods of a version, the runtime's main one first; all of them where none is installed yet."""
    others = ("draft-model", "prompt-lookup")
    return others if found and numbers(found) <= MTP_UNDERSTATED_UNTIL else ("mtp", *others)


def caveat(found: str) -> str:
    """What to know about a version that can be used."""
    if "mtp" not in methods_of(found):
        return UNDERSTATED
    return "" if found == TRIED else f"tried with {TRIED}; {found} was not tried"
