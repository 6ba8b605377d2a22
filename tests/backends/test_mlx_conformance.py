"""The MLX adapter on mlx-vlm and the demo pair, against what every backend must keep."""

from collections.abc import Iterator
from pathlib import Path

import endings
import pytest
from conformance import Conformance, Ending
from hosted import hosted, needs, probed
from the_demo_pair import PAIR

from backends.base import Availability, Backend, Session
from backends.mlx import Adapter
from results.records import EngineConfig

pytestmark = [pytest.mark.model, needs("mlx")]

ENGINE = EngineConfig(dtype="float32", threads=1, methods=("mtp",))


@pytest.fixture(scope="module")
def opened() -> Iterator[Session]:
    with hosted("mlx", PAIR, ENGINE) as session:
        yield session


class TestMlx(Conformance):
    ran_against = "real"

    def probe(self, backend: Backend) -> Availability:
        return probed("mlx")

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        return lambda token: hosted("mlx", endings.checkpoint(tmp_path, token), ENGINE)
