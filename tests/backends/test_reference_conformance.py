"""The reference engine on the demo pair, against what every backend must keep."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import endings
import pytest
from conformance import Conformance, Ending
from the_demo_pair import ENGINE, PAIR

from backends.base import Backend, Session
from backends.reference import Adapter

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))


@pytest.fixture(scope="module")
def opened() -> Iterator[Session]:
    with Adapter().open(PAIR, MTP) as session:
        yield session


class TestReference(Conformance):
    ran_against = "real"

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        return lambda token: Adapter().open(endings.checkpoint(tmp_path, token), MTP)
