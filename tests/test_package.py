"""What the wheel carries."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKOUT_ONLY = "workloads/data/formats/"
"""The demo pair for other runtimes than Transformers."""


def test_the_wheel_carries_every_data_file_and_no_test(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    source = tmp_path / "source"
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."],
        cwd=source, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    ours = {"mtpbench", "harness", "backends", "workloads", "results", "reports"}
    wanted = {name for name in tracked if name.partition("/")[0] in ours and not name.startswith(CHECKOUT_ONLY)}
    assert wanted <= carried
    assert not [name for name in carried if name.startswith(("tests/", "docs/", CHECKOUT_ONLY))]
    assert wheel.stat().st_size < 12e6
