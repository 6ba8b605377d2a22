"""Pretends that a package with a backend is installed: a folder that, once on the path, offers an entry point."""

from pathlib import Path


def offer(folder: Path, name: str, target: str) -> None:
    """Entry point `name = target` of the group `mtpbench.backends`, as pip would have written it."""
    info = folder / "fake_runtime-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mtpbench.backends]\n{name} = {target}\n")
