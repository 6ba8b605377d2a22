"""The adapter for OpenAI-compatible servers on a real one, llama.cpp's, against what every backend must keep."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import endings
import pytest
from arms import Arms
from conformance import Conformance, Ending
from hosted import needs
from served_llama import llama
from the_gguf_pair import TARGET

from backends.base import Backend, Session
from backends.openai import Adapter
from results.records import Draft, EngineConfig, Pair

pytestmark = [pytest.mark.model, needs("llamacpp")]


@contextmanager
def attached(target: str) -> Iterator[Session]:
    """A server of that GGUF file for every draft length asked for, started when it is."""
    with ExitStack() as stack:
        urls: dict[int | None, str] = {}

        def url(k: int | None) -> str:
            if k not in urls:
                urls[k] = stack.enter_context(llama(k, target)).url
            return urls[k]

        @contextmanager
        def opening(draft: Draft | None) -> Iterator[Session]:
            plain = url(None)
            k = draft.length if draft else None
            options = {"url": url(k) if k else "http://127.0.0.1:9", "plain_url": f"{plain}/v1", "draft_length": k}
            engine = EngineConfig(methods=("mtp",), draft=draft, options=options)
            with Adapter().open(Pair("demo", "demo", None), engine) as session:
                yield session

        yield stack.enter_context(Arms(opening))


@pytest.fixture(scope="module")
def opened() -> Iterator[Session]:
    with attached(TARGET) as session:
        yield session


class TestOpenAI(Conformance):
    ran_against = "real"

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        return lambda token: attached(endings.gguf(tmp_path, token))
