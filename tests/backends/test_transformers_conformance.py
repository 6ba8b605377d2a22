"""The Transformers adapter on the real runtime and the demo pair, against what every backend must keep."""

import pytest
from conformance import Conformance

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
