"""One session over several launches, for runtimes whose arm is fixed at launch."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

from backends.base import GREEDY, Session
from results.records import Draft, Encoded, Generation, Prompt, Request, Sampling, TokenScore


class Launches(Session):
    """Each request goes to the launch it needs; leaving the block of `stack` ends them all."""

    def __init__(self, stack: ExitStack, launch: Callable[[Draft | None], AbstractContextManager[Session]]) -> None:
        """launch: a session of its own for an arm."""
        self._stack, self._launch = stack, launch
        self._up: dict[Draft | None, Session] = {}
        self.facts = self.of(None).facts

    def of(self, draft: Draft | None) -> Session:
        if draft not in self._up:
            self._up[draft] = self._stack.enter_context(self._launch(draft))
        return self._up[draft]

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        return self.of(None).encode(text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        return self.of(request.draft).generate(prompts, request)

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        return self.of(None).score(prompt, continuation, sampling)
