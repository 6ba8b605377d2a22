"""MLX, in process: mlx-vlm, with its MTP drafting for the speculative arm.

docs/backends.md says what this runtime does to a measurement. Loading is in `backends.mlxvlm.loading`, decoding in
`backends.mlxvlm.decoding`; they import MLX, so they are imported by the methods that need them, and `probe` can
still say what is missing.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from backends import fit
from backends.base import Availability, Backend, Capabilities, Deployment, Environment, Session
from backends.installed import first_line, installed, numbers
from backends.mlxvlm import deploying
from results.errors import UsageError
from results.records import EngineConfig, Pair

TRIED = "0.7.10"
OLDEST = (0, 7, 10)
ADVICE = "mtpbench env create mlx"

NOTES = (
    "drafts are accepted where the target's own choice equals them, so sampled MTP is exact too",
    "top-p is taken before the temperature, unlike in most other runtimes; scores follow that order",
    "one row at a time: a batch of Gemma 4 accepts what its least lucky row accepts, which mixes the rows",
    "a small draft model is not offered: mlx-lm's greedy output leaves the plain one once a sliding window rotates "
    "(ml-explore/mlx-lm#1423)",
    "an instrumented pass waits at every mark, so its steps are longer than those of a headline pass",
)


class Adapter(Backend):
    name = "mlx"
    title = "MLX"
    capabilities = Capabilities(
        methods=("mtp",),
        max_batch_plain=1,
        max_batch_speculative=1,
        draft_change="per-request",
        reveals="rounds",
        token_ids_in=True,
        token_ids_out=True,
        sampling=True,
        scores=True,
        captures=("timing", "rounds"),
        formats=("hf",),
        concurrency="batch",
        notes=NOTES,
    )
    environment = Environment(
        packages=("mlx[cpu]==0.32.4", "mlx-vlm==0.7.10", "transformers==5.24.0", "tokenizers==0.23.3"),
        notes=("1.1 GB; macOS on Apple silicon (Metal), Linux (CPU); no PyTorch",),
    )

    def probe(self) -> Availability:
        found = installed("mlx-vlm")
        if found is None or installed("mlx") is None:
            missing = "mlx-vlm" if found is None else "mlx"
            return Availability(False, found, None, f"{missing} is not installed", ADVICE)
        if reason := refusal(found):
            return Availability(False, found, None, reason, ADVICE)
        try:
            from backends.mlxvlm.device import name
        except (ImportError, OSError) as error:  # a broken installation, e.g. mlx without mlx-cpu on Linux
            return Availability(False, found, None, f"cannot be imported: {first_line(error)}", ADVICE)
        return Availability(True, found, name(), caveat(found), "" if found == TRIED else ADVICE)

    def deployment(self, wanted: Deployment) -> str:
        """A program over mlx-vlm."""
        return deploying.snippet(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Loads the target, and the assistant where `engine.methods` has a use for it."""
        found = installed("mlx-vlm")
        if found is None or installed("mlx") is None:
            raise UsageError(f"mlx-vlm is not installed; run: {ADVICE}")
        if reason := refusal(found):
            raise UsageError(f"{reason}; run: {ADVICE}")
        for method in engine.methods:
            if method not in self.capabilities.methods:
                raise UsageError(f"the MLX adapter has no draft method {method!r}; it has mtp")
        from backends.mlxvlm.options import Options

        options = Options.of(engine.options)
        fit.check(pair, engine.methods)
        with _importable():
            from backends.mlxvlm import device
        with device.chosen(engine.device):
            with _importable():
                from backends.mlxvlm.decoding import DecodingSession
                from backends.mlxvlm.loading import loaded
            with loaded(pair, engine, options) as models:
                session = DecodingSession(models)
                try:
                    yield session
                finally:
                    session.release()


@contextmanager
def _importable() -> Iterator[None]:
    """A broken installation, e.g. mlx without mlx-cpu on Linux, as a UsageError."""
    try:
        yield
    except (ImportError, OSError) as error:
        raise UsageError(f"MLX cannot be imported: {first_line(error)}; run: {ADVICE}") from error


def refusal(found: str) -> str | None:
    """Why this version cannot be used here at all; None where it can."""
    if platform.system() not in ("Darwin", "Linux"):
        return f"MLX runs on macOS and Linux, not on {platform.system()}"
    if platform.system() == "Darwin" and platform.machine() != "arm64":
        return "MLX on macOS needs Apple silicon"
    if numbers(found) < OLDEST:
        return f"mlx-vlm {found} was never tried; the adapter reads its rounds as {TRIED} records them"
    return None


def caveat(found: str) -> str:
    """What to know about a version that can be used."""
    return "" if found == TRIED else f"tried with {TRIED}; {found} was not tried"
