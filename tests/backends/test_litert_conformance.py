"""LiteRT-LM on the real runtime and the demo pair's bundle, against what every backend must keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import Conformance, Ending
from hosted import hosted, needs, probed
from the_litert_bundle import ENGINE, PAIR, stopping_at

from backends.base import Availability, Backend, Session
from backends.litert import Adapter

pytestmark = [pytest.mark.model, needs("litert")]


@pytest.fixture(scope="module")
def opened() -> Iterator[Session]:
    """One engine for all tests here."""
    with hosted("litert", PAIR, ENGINE) as session:
        yield session


class TestLiteRT(Conformance):
    ran_against = "real"
    draft_lengths = (4,)

    def probe(self, backend: Backend) -> Availability:
        return probed("litert")

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        return lambda token: hosted("litert", stopping_at(token, tmp_path / "ending.litertlm"), ENGINE)
