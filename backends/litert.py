"""LiteRT-LM, in process: a .litertlm bundle on CPU, GPU or NPU, its MTP drafter on or off.

docs/backends.md says what this runtime does to a measurement. The parts are in `backends.litertlm`; those that import
the runtime (`engine`, `decoding`) are imported by the methods that need them.
"""

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from backends.base import Availability, Backend, Capabilities, Deployment, Environment, Session
from backends.installed import installed
from backends.litertlm import bundle, deploying
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair

PACKAGE = "litert-lm-api"
TRIED = "0.18.1"
INSTALL = "mtpbench env create litert"
WHEELS = (("linux", "x86_64"), ("darwin", "arm64"))
"""Platforms that the runtime is built for, and that mtpbench runs on."""

NOTES = (
    "text in, text out: outputs are compared as text, and the prompts' lengths are their own",
    "the draft length is fixed in the bundle; other lengths are skipped",
    "acceptance comes from an engine of its own for every prompt, in the untimed pass: the runtime states it only when "
    "an engine is destroyed",
    "MTP is greedy whatever the sampler says (LiteRT-LM#3017): no temperature",
)


class Adapter(Backend):
    name = "litert"
    title = "LiteRT-LM"
    capabilities = Capabilities(
        methods=("mtp",),
        max_batch_plain=1,
        max_batch_speculative=1,
        draft_change="baked-in",
        reveals="counts",
        token_ids_in=False,
        token_ids_out=False,
        sampling=False,
        scores=False,
        encodes=True,
        captures=("timing", "rounds"),
        formats=("litertlm",),
        notes=NOTES,
    )
    environment = Environment(
        packages=(f"{PACKAGE}=={TRIED}",),
        notes=("one wheel without dependencies, 127 MB installed: Linux x86-64 and macOS arm64",),
    )

    def probe(self) -> Availability:
        found = installed(PACKAGE)
        here = (sys.platform, platform.machine())
        if found is None:
            reason = f"{PACKAGE} is not installed"
            if here not in WHEELS:
                reason = f"{PACKAGE} has no wheel for {' '.join(here)}: Linux x86-64 and macOS arm64 only"
            return Availability(False, None, None, reason, INSTALL if here in WHEELS else "")
        try:
            import litert_lm

            litert_lm.set_min_log_severity(litert_lm.LogSeverity.INFO)  # loads the native library
        except (ImportError, OSError, RuntimeError) as error:
            return Availability(False, found, None, f"cannot be loaded: {str(error).splitlines()[0]}", INSTALL)
        if found != TRIED:
            return Availability(True, found, "cpu", f"tried with {TRIED}; {found} was not tried", INSTALL)
        return Availability(True, found, "cpu")

    def draft_lengths(self, pair: Pair, options: Mapping[str, Json]) -> tuple[int, ...] | None:
        """The one that is baked into the bundle; none where it holds no drafter."""
        try:
            found = bundle.read(Path(pair.target).expanduser())
        except (OSError, ValueError):  # `open` says what is wrong with it
            return None
        if found.drafter is None:
            return ()
        return None if found.draft_length is None else (found.draft_length,)

    def deployment(self, wanted: Deployment) -> str:
        """A program over the bundle."""
        return deploying.snippet(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Loads the bundle; one engine decodes with and without drafts."""
        if installed(PACKAGE) is None:
            raise UsageError(f"{PACKAGE} is not installed; run: {INSTALL}")
        for method in engine.methods:
            if method not in self.capabilities.methods:
                raise UsageError(f"LiteRT-LM has no draft method {method!r}; it has mtp")
        import litert_lm

        from backends.litertlm.decoding import DecodingSession
        from backends.litertlm.engine import launch, settings

        litert_lm.set_min_log_severity(litert_lm.LogSeverity.INFO)  # the success rate is of this severity
        wanted = settings(pair, engine)
        with closing(launch(wanted)) as up:
            yield DecodingSession(up, wanted)
