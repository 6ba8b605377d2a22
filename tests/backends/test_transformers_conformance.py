"""The Transformers adapter on the real runtime and the demo pair, against what every backend must keep."""

from pathlib import Path

import endings
import pytest
from conformance import Conformance, Ending
from the_demo_pair import ENGINE

from backends.base import Backend, Session
from backends.transformers import Adapter

pytestmark = pytest.mark.model


class TestTransformers(Conformance):
    ran_against = "real"

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, demo: Session) -> Session:
        return demo

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        return lambda token: Adapter().open(endings.checkpoint(tmp_path, token), ENGINE)
