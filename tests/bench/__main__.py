"""`make bench`: everything we promise about our own speed; exit code 1 if anything falls short."""

import sys
import tempfile
from pathlib import Path

from tests.bench import bigfile, certificate, engine, gating, gpu, overhead, startup
from tests.support.big_run import write_big_run


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.sqlite"
        write_big_run(small, units=24)
        held = [
            overhead.measure(),
            engine.measure(),
            gpu.measure(),
            startup.measure(small),
            bigfile.measure(Path(folder)),
            certificate.measure(Path(folder)),
            gating.measure(Path(folder)),
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
