"""One session over runtimes whose arm is fixed at launch: each arm is opened when it is first asked for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from backends.base import GREEDY, Session
from results.records import Draft, Encoded, Generation, Prompt, Request, Sampling, TokenScore

Opening = Callable[[Draft | None], AbstractContextManager[Session]]


class Arms(Session):
    """Facts, tokens and scores are the plain arm's. Leaving the block closes all arms."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._stack = ExitStack()
        self._open: dict[Draft | None, Session] = {}

    def arm(self, draft: Draft | None) -> Session:
        if draft not in self._open:
            self._open[draft] = self._stack.enter_context(self._opening(draft))
        return self._open[draft]

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        return self.arm(None).encode(text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        return self.arm(request.draft).generate(prompts, request)

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        return self.arm(None).score(prompt, continuation, sampling)

    def __enter__(self) -> Self:
        self.facts = self.arm(None).facts
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
