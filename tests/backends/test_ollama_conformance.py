"""The adapter for Ollama on a stub of its API over a real llama.cpp, against what every backend must keep."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import endings
import pytest
from conformance import Conformance, Ending
from hosted import needs
from stubbed_ollama import opened, stubbed

from backends.base import Backend, Session
from backends.ollama import Adapter

pytestmark = [pytest.mark.model, needs("llamacpp")]


@pytest.fixture(scope="module")
def attached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("ollama")
    with stubbed(folder, 1, 3) as (url, _, log), opened(url, log=str(log)) as session:
        yield session


class TestOllama(Conformance):
    ran_against = "stub"

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, attached: Session) -> Session:
        return attached

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        @contextmanager
        def attached(token: int) -> Iterator[Session]:
            target = endings.gguf(tmp_path, token)
            with stubbed(tmp_path, 3, target=target) as (url, _, log), opened(url, log=str(log)) as session:
                yield session

        return attached
