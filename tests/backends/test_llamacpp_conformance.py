"""llama.cpp's server on the demo pair, against what every backend must keep: a launch for each arm."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import endings
import pytest
from conformance import Conformance, Ending
from hosted import hosted, needs, probed
from launches import Launches
from the_gguf_pair import PAIR, engine_of

from backends.base import Availability, Backend, Session
from backends.llamacpp import Adapter

pytestmark = [pytest.mark.model, needs("llamacpp")]


@pytest.fixture(scope="module")
def opened() -> Iterator[Session]:
    """One server per arm for all tests here."""
    with ExitStack() as stack:
        yield Launches(stack, lambda draft: hosted("llamacpp", PAIR, engine_of(draft)))


class TestLlamaCpp(Conformance):
    ran_against = "real"

    def probe(self, backend: Backend) -> Availability:
        return probed("llamacpp")

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        @contextmanager
        def launched(token: int) -> Iterator[Session]:
            pair = replace(PAIR, target=endings.gguf(tmp_path, token))
            with ExitStack() as stack:
                yield Launches(stack, lambda draft: hosted("llamacpp", pair, engine_of(draft)))

        return launched
