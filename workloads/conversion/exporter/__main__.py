"""``python -m workloads.conversion.exporter STEP JOB``: one step of an export, a process each, for each patches much.

JOB: `layout.Export` as its `written` gives it. Exit code 1: the parity step found a wrong number.
"""

import importlib
import sys

from workloads.conversion.exporter.layout import Export

PARITY = "parity"
STEPS = ("target", "drafter", PARITY, "bundle")


def main(step: str, job: str) -> int:
    """Run it; the exit code."""
    plan = Export.read(job)
    module = importlib.import_module(f"workloads.conversion.exporter.{step}")
    if step != PARITY:
        module.write(plan)
        return 0
    found = list(module.compare(plan))
    (plan.folder / "parity.txt").write_text("".join(f"{difference}\n" for difference in found))
    wrong = [str(difference) for difference in found if difference.wrong]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
