"""What every engine of the suite is: a `Session` over the real one."""

import dataclasses
import random
from collections.abc import Callable, Sequence

from backends.base import GREEDY, Session
from backends.hf.decoding import DecodingSession
from results.records import Encoded, Generation, Prompt, Request, Sampling, TokenScore


class Remembering(Session):
    """The real session; greedy calls and scores that were made once are not made again.

    Greedy decoding of one prompt alone always gives the same tokens and rounds, so that a hundred runs over some of the
    same prompts need each of them once. Remembered times are those of the first call: no figure for a speed.
    """

    def __init__(self, engine: Session) -> None:
        self.engine = engine
        self.facts = engine.facts
        self._generations: dict[tuple[object, ...], Generation] = {}
        self._scores: dict[tuple[object, ...], list[TokenScore]] = {}

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        return self.engine.encode(text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        if len(prompts) > 1 or request.sampling.temperature > 0:
            return self.engine.generate(prompts, request)
        return [self.once((), prompts[0], request, lambda: self.engine.generate(prompts, request)[0])]

    def once(
        self, cause: tuple[object, ...], prompt: Prompt, request: Request, call: Callable[[], Generation]
    ) -> Generation:
        """What `call` gives, or gave before for the same prompt and request. cause: all else that it depends on."""
        if request.sampling.temperature > 0:
            return call()
        key = (cause, prompt.token_ids, prompt.text, request)
        if key not in self._generations:
            self._generations[key] = call()
        return self._generations[key]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        if sampling.temperature > 0:
            return self.engine.score(prompt, continuation, sampling)
        key = (prompt.token_ids, prompt.text, tuple(continuation))
        if key not in self._scores:
            self._scores[key] = self.engine.score(prompt, continuation, sampling)
        return self._scores[key]


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
