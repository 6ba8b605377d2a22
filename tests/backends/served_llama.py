"""A real llama.cpp server with the demo pair, for tests of adapters that attach to servers: one per draft length."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from the_gguf_pair import DRAFTER, TARGET

from backends.server.process import Server, started
from harness.environment import worker_environment
from harness.interpreters import environment_of, interpreter_of

SLOTS = 3


@contextmanager
def llama(k: int | None, target: str = TARGET) -> Iterator[Server]:
    """k: draft length; None: no drafts. target: a GGUF file. The environment of `llamacpp` must be there."""
    python = interpreter_of("llamacpp")
    speculation = ["--spec-type", "draft-mtp", "--spec-draft-model", DRAFTER]
    speculation += ["--spec-draft-n-max", str(k), "--spec-draft-n-min", "0", "--spec-draft-p-min", "0.0"]

    def command(port: int) -> list[str]:
        given = ["--model", target, "--host", "127.0.0.1", "--port", str(port)]
        given += ["--parallel", str(SLOTS), "--ctx-size", str(SLOTS * 2048), "--threads", "1", "--metrics", "--no-ui"]
        given += ["--flash-attn", "off", "--cache-ram", "0", "--no-kv-unified", "--alias", "demo"]
        return [python, "-P", "-m", "backends.llama.serve", *given, *([] if k is None else speculation)]

    environment = environment_of(python, worker_environment(os.environ, 1))
    with started("llama.cpp", command, environment=environment, within=120) as server:
        yield server
