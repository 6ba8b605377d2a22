"""Virtual environments of runtimes: one for each, pinned, in the user's cache folder; made by `mtpbench env create`.

Runtimes pin conflicting versions, so none shares an environment with another or with mtpbench. What an environment
holds is said by the backend (`backends.base.Environment`); its folder is named after that, so that a changed pin is
another environment. A marker file is written last: without it an environment is unfinished, and made anew.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from importlib.util import find_spec
from pathlib import Path

from backends import discover
from backends.base import Environment
from harness.bridge import bridged
from harness.settings import cache
from results.errors import UsageError

MARKER = "mtpbench.json"
LOG = "install.log"
_TAIL = 12
"""Lines of the installer's output that a failure quotes."""

_KNOWN = (
    (r"No space left on device", "the disk is full: the environment needs the space that `mtpbench env list` shows"),
    (r"No matching distribution found for (\S+)", r"there is no build of \1 for this platform and Python"),
    (r"Could not find a version that satisfies the requirement (\S+)", r"the package index has no such version: \1"),
    (r"requires a different Python: (.*)", r"it wants another Python: \1"),
    (
        r"(?:NewConnectionError|ConnectionError|Temporary failure in name resolution)",
        "the package index is unreachable",
    ),
    (r"error: (?:command|subprocess).*(?:gcc|g\+\+|cl\.exe)", "a package has no wheel here and needs a C compiler"),
)
"""What an installer prints -> what it means."""


@dataclass(frozen=True, slots=True)
class Env:
    """A runtime's environment, made or not."""

    name: str
    """The backend's."""
    path: Path
    wanted: Environment
    state: str
    """ready | unfinished | absent"""
    bytes: int | None
    """Size on disk; None where it is not ready."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


def envs() -> list[Env]:
    """Of every backend that wants an environment of its own."""
    return [env for name in discover.names() if (env := find(name))]


def find(name: str) -> Env | None:
    """That of one backend; None where it wants none. Raises UsageError for an unknown name."""
    wanted = discover.load(name).environment
    if wanted is None:
        return None
    path = cache() / "envs" / f"{name}-{_digest(wanted)}"
    if (marker := path / MARKER).is_file():
        return Env(name, path, wanted, "ready", int(json.loads(marker.read_text("utf-8"))["bytes"]))
    return Env(name, path, wanted, "unfinished" if path.exists() else "absent", None)


def create(name: str, *, anew: bool = False, say: Callable[[str], None] = lambda text: None) -> Env:
    """Make the environment of a backend, unless it is there already.

    anew: remove and make it again. say: told what is being done, a line each. A second process that makes the same
    environment meanwhile is waited for. Raises UsageError, with the end of the installer's output, where it fails;
    what was installed until then is removed.
    """
    env = find(name)
    if env is None:
        raise UsageError(
            f"{name} needs no environment of its own: what it needs is installed with mtpbench; mtpbench doctor says "
            "whether it is usable here"
        )
    env.path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(env.path.with_suffix(".lock"), say):
        env = find(name) or env
        if env.state == "ready" and not anew:
            return env
        shutil.rmtree(env.path, ignore_errors=True)
        try:
            _make(env, say)
        except BaseException:
            if (log := env.path / LOG).exists():
                shutil.copyfile(log, env.path.with_suffix(".log"))
            shutil.rmtree(env.path, ignore_errors=True)
            raise
        for old in env.path.parent.glob(f"{name}-*/"):  # pins have changed since
            if old != env.path and re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{12}}", old.name):
                say(f"removing {old.name}, which an older mtpbench made")
                shutil.rmtree(old)
    made = find(name)
    assert made is not None
    return made


def _make(env: Env, say: Callable[[str], None]) -> None:
    say(f"creating {env.path}")
    _run(env, [sys.executable, "-m", "venv", str(env.path)], "making a virtual environment")
    pip = [str(env.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    say(f"installing {', '.join(env.wanted.packages)}")
    _run(env, [*pip, "install", *env.wanted.packages], "installing")
    if env.wanted.remove:
        say(f"removing {', '.join(env.wanted.remove)}, which break it")
        _run(env, [*pip, "uninstall", "--yes", *env.wanted.remove], "uninstalling")
    if env.wanted.mend:
        say("mending what the packages leave broken")
        _run(env, [str(env.python), "-P", "-m", env.wanted.mend], "mending")
    size = sum(file.lstat().st_size for file in env.path.rglob("*"))
    (env.path / MARKER).write_text(json.dumps({"packages": env.wanted.packages, "bytes": size}), "utf-8")


def _run(env: Env, command: list[str], doing: str) -> None:
    environment = bridged({key: value for key, value in os.environ.items() if key != "PYTHONPATH"})
    env.path.mkdir(exist_ok=True)
    with (env.path / LOG).open("a+", encoding="utf-8", errors="replace") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        start = log.tell()
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False)
        if ended.returncode == 0:
            return
        log.seek(start)
        printed = log.read()
    raise UsageError(
        f"{env.name}: {doing} failed: {explain(printed)}; the whole output is in {env.path.with_suffix('.log')}"
    )


def explain(printed: str) -> str:
    """What an installer's output says about why it failed, in one line."""
    for pattern, meaning in _KNOWN:
        if found := re.search(pattern, printed):
            return found.expand(meaning)
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return " | ".join(lines[-_TAIL:]) or "it printed nothing"


def _digest(wanted: Environment) -> str:
    """Of everything that decides what an environment holds: pins, repairs, and the Python it is made with."""
    mend = find_spec(wanted.mend) if wanted.mend else None
    repairs = Path(mend.origin).read_text("utf-8") if mend and mend.origin else ""
    told = (*astuple(wanted)[:3], repairs, sys.version_info[:2], os.path.realpath(sys.base_prefix))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that is making this environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
