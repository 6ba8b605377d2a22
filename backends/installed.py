"""What is installed beside an adapter, and how its failures read: what every `probe` asks. Loads no runtime."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

_GPUS_S = 20.0
"""For nvidia-smi, which wakes the driver."""


def installed(package: str) -> str | None:
    """The version of a package here; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    return {package: found for package in packages if (found := installed(package)) is not None}


def numbers(found: str) -> tuple[int, int, int]:
    """The first three numbers of a version: 5.23.0.dev0 counts as 5.23.0."""
    major, minor, patch = [*re.findall(r"\d+", found), "0", "0", "0"][:3]
    return int(major), int(minor), int(patch)


def first_line(error: BaseException) -> str:
    """Of its message; its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def nvidia_gpus() -> list[str]:
    """Names of the NVIDIA GPUs that are visible here, without loading anything onto them."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=_GPUS_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")  # nvidia-smi itself shows all
    if chosen is None or not all(each.strip().isdecimal() for each in chosen.split(",") if each):
        return names
    return [names[int(each)] for each in chosen.split(",") if each and int(each) < len(names)]
