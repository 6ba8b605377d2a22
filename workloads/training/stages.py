"""Stages of a run: each makes one file or folder, and is skipped where that exists."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from results.errors import UsageError
from results.records import Json
from workloads.training.settings import Settings

NOT_PINNED = {"out", "threads"}
"""Settings that may differ when a run is taken up again."""


class Stages:
    """The folder OUT/stages: what is already made, and how long it took."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.folder = settings.out / "stages"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.say = say
        self._pin(settings)

    def _pin(self, settings: Settings) -> None:
        now = {k: v for k, v in asdict(settings).items() if k not in NOT_PINNED}
        now["corpus"] = [str(folder.resolve()) for folder in settings.corpus]
        path = self.folder / "settings.json"
        if not path.exists():
            path.write_text(json.dumps(now, indent=1) + "\n")
        before = json.loads(path.read_text())
        for name, value in now.items():
            if before.get(name) != value:
                raise UsageError(
                    f"{self.folder} was begun with {name} = {before.get(name)}, not {value}: "
                    "go on with the same settings, or choose another --out"
                )

    @property
    def minutes(self) -> dict[str, Json]:
        """Wall and CPU minutes of each stage made so far."""
        path = self.folder / "minutes.json"
        made: dict[str, Json] = json.loads(path.read_text()) if path.exists() else {}
        return made

    def make(self, name: str, maker: Callable[[Path], None]) -> Path:
        """The path OUT/stages/`name`; where it does not exist, `maker` writes it under a provisional path first."""
        path = self.folder / name
        if path.exists():
            self.say(f"{name}: kept from an earlier run")
            return path
        partial = path.with_name(f"partial-{name}")
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was interrupted
        wall, cpu = time.monotonic(), time.process_time()
        maker(partial)
        spent = {"wall": (time.monotonic() - wall) / 60, "cpu": (time.process_time() - cpu) / 60}
        (self.folder / "minutes.json").write_text(json.dumps(self.minutes | {name: spent}, indent=1) + "\n")
        partial.rename(path)
        self.say(f"{name}: made in {spent['wall']:.1f} minutes")
        return path
