"""mtpbench: what a multi-token-prediction drafter really brings.

Everything the command line does can be done from Python::

    from mtpbench import RunFile, judge

    with RunFile.open("runs/20261123T120000Z-demo.sqlite") as run:
        for cell in judge(run).cells:
            print(cell.draft_length, cell.speedup)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtpbench.version import __version__

if TYPE_CHECKING:
    from harness.experiment import measure
    from harness.sweep import Sweep
    from results.errors import RunFileError, UsageError
    from results.judge import judge
    from results.store import RunFile
    from results.verdicts import RunVerdict

__all__ = ["RunFile", "RunFileError", "RunVerdict", "Sweep", "UsageError", "__version__", "judge", "measure"]

_HOMES = {
    "RunFile": "results.store",
    "RunFileError": "results.errors",
    "RunVerdict": "results.verdicts",
    "Sweep": "harness.sweep",
    "UsageError": "results.errors",
    "judge": "results.judge",
    "measure": "harness.experiment",
}


def __getattr__(name: str) -> Any:
    # Names are imported on first use: `mtpbench --help` must not pay for numpy and pydantic.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mtpbench' has no attribute '{name}'")
