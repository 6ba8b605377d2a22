"""The adapter for SGLang over the stub: a program that looks like `sglang`, and sessions for arms."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stubs import sglang_server
from the_demo_pair import PAIR

from backends.base import Session
from backends.sglang import Adapter
from results.records import Draft, EngineConfig, Json, Pair

Launch = Callable[..., EngineConfig]


def program(folder: Path) -> Path:
    """An executable that starts the stub, to be named by -o sglang.server."""
    path = folder / "sglang"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {sglang_server.__file__} "$@"\n')
    path.chmod(0o755)
    return path


@contextmanager
def stubbed(demo: Session, folder: Path, **environment: str) -> Iterator[Launch]:
    """Gives a maker of engine settings: draft, more options -> what `Adapter().open` takes."""
    path = program(folder)
    with sglang_server.engine(demo) as url, pytest.MonkeyPatch.context() as patch:
        for name, value in {"MTPBENCH_STUB_ENGINE": url, **environment}.items():
            patch.setenv(name, value)

        def engine(draft: Draft | None, **options: Json) -> EngineConfig:
            return EngineConfig("float32", "cpu", 1, draft=draft, options={"server": str(path), **options})

        yield engine


@contextmanager
def opened(engine: EngineConfig, pair: Pair = PAIR) -> Iterator[Session]:
    with Adapter().open(pair, engine) as session:
        yield session
