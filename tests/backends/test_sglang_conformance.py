"""The adapter for SGLang on a stub of its protocol, over real tokens, against what every backend must keep."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import endings
import pytest
from arms import Arms
from conformance import Conformance, Ending
from stubbed_sglang import opened, stubbed
from the_demo_pair import ENGINE

from backends import transformers
from backends.base import Availability, Backend, Session
from backends.sglang import Adapter

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def arms(demo: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with (
        stubbed(demo, tmp_path_factory.mktemp("sglang")) as engine,
        Arms(lambda draft: opened(engine(draft))) as session,
    ):
        yield session


class TestSGLang(Conformance):
    ran_against = "stub"

    def probe(self, backend: Backend) -> Availability:
        """The stub is no installed SGLang."""
        return Availability(True, None, None)

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, arms: Session) -> Session:
        return arms

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        @contextmanager
        def launched(token: int) -> Iterator[Session]:
            pair = endings.checkpoint(tmp_path, token)
            with (
                transformers.Adapter().open(pair, ENGINE) as behind,
                stubbed(behind, tmp_path) as engine,
                Arms(lambda draft: opened(engine(draft), pair)) as session,
            ):
                yield session

        return launched
