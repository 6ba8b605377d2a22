"""What every engine of the suite is: a `Session` over the real one."""

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence

from backends.base import GREEDY, Session
from backends.hf.decoding import DecodingSession
from results.records import Encoded, Generation, Prompt, Request, Sampling, TokenScore


class Remembering(Session):
    """The real session; what was decoded or scored once is not decoded or scored again.

    Greedy decoding of the same prompts always gives the same tokens and rounds, so that a hundred runs over some of
    the same prompts need each of them once. Remembered times are those of the first call: no figure for a speed.
    """

    def __init__(self, engine: Session, draws: int | None = None) -> None:
        """draws: above temperature 0, so many different continuations of a prompt by each arm of each engine, which
        runs then share; None: every call draws anew, by its seed."""
        self.engine = engine
        self.facts = engine.facts
        self.draws = draws
        self._generations: dict[tuple[object, ...], list[Generation]] = {}
        self._scores: dict[tuple[object, ...], list[TokenScore]] = {}
        self._encoded: dict[tuple[str, bool, bool], Encoded] = {}

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        key = (text, chat, thinking)
        if key not in self._encoded:
            self._encoded[key] = self.engine.encode(text, chat=chat, thinking=thinking)
        return self._encoded[key]

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        return self.once((), prompts, request, lambda asked: self.engine.generate(prompts, asked))

    def once(
        self,
        cause: tuple[object, ...],
        prompts: Sequence[Prompt],
        request: Request,
        call: Callable[[Request], list[Generation]],
    ) -> list[Generation]:
        """What `call` gives, or gave before for the same prompts and request. cause: all else that it depends on."""
        texts = tuple((prompt.token_ids, prompt.text) for prompt in prompts)
        if request.sampling.temperature > 0:
            if self.draws is None:
                return call(request)
            request = _one_of(self.draws, (cause, texts), request)
        key = (cause, texts, request)
        if key not in self._generations:
            self._generations[key] = call(request)
        return self._generations[key]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        key = (prompt.token_ids, prompt.text, tuple(continuation), dataclasses.replace(sampling, seed=None))
        if key not in self._scores:
            self._scores[key] = self.engine.score(prompt, continuation, sampling)
        return self._scores[key]


def _one_of(draws: int, what: object, request: Request) -> Request:
    """The request with one of `draws` seeds. Each engine, prompt and arm has seeds of its own: from equal ones the
    same chances would follow, and draws that shall be independent would not be."""
    seed = (request.sampling.seed or 0) % draws
    unseeded = dataclasses.replace(request, sampling=dataclasses.replace(request.sampling, seed=None))
    digest = hashlib.sha256(repr((what, unseeded, seed)).encode()).digest()
    own = int.from_bytes(digest[:4], "big") >> 1
    return dataclasses.replace(request, sampling=dataclasses.replace(request.sampling, seed=own))


class Engine(Session):
    """Passes everything on to the real session; a subclass changes what it does one prompt at a time.

    real: the session that decodes. seed: of the faults that leave something to chance.
    """

    def __init__(self, real: Remembering, seed: int = 0) -> None:
        self.real = real
        self.facts = real.facts
        self.seed = seed

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        return self.real.encode(text, chat=chat, thinking=thinking)

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        return self.real.score(prompt, continuation, sampling)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        arm = self.plain if request.draft is None else self.speculative
        return [arm(prompt, request) for prompt in prompts]

    def plain(self, prompt: Prompt, request: Request) -> Generation:
        """What the plain arm gives."""
        return self.honest(prompt, request)

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        """What a speculative arm gives."""
        return self.honest(prompt, request)

    def honest(self, prompt: Prompt, request: Request) -> Generation:
        """What the real engine gives."""
        (seen,) = self.real.generate([prompt], request)
        return seen

    def draw(self, prompt: Prompt) -> random.Random:
        """Chance that depends on the engine's seed and the prompt only."""
        return random.Random(f"{type(self).__name__}/{self.seed}/{prompt.token_ids}")


def ending_with(session: DecodingSession, *tokens: int) -> DecodingSession:
    """The same models, but these tokens end a text."""
    models = session._models
    facts = dataclasses.replace(models.facts, eos_token_ids=tokens)
    return DecodingSession(dataclasses.replace(models, eos=tokens, facts=facts))
