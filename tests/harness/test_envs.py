"""Environments of runtimes: made once, made again where unfinished or repinned, and seen by workers.

The runtime here is a wheel of a few lines, so that a real virtual environment takes seconds.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backends import discover
from backends.base import Availability, Backend, Environment
from backends.protocol import Probe
from harness import envs, settings
from harness.client import Worker
from harness.environment import worker_environment
from harness.interpreters import advised, environment_of, interpreter_of
from mtpbench.cli import run
from results.errors import UsageError

MISSING = Availability(False, None, None, "not installed", "pip install it")


def wheel(folder: Path, name: str = "tinyruntime", content: str = "SPEED = 3\n") -> str:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return str(path)


Wanting = Callable[[Environment | None], None]


@pytest.fixture
def wanting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wanting:
    """Sets what the `transformers` backend wants, with cache and configuration folders of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    adapter: type[Backend] = type(discover.load("transformers"))
    monkeypatch.setattr(discover, "names", lambda: ["transformers"])

    def want(environment: Environment | None) -> None:
        monkeypatch.setattr(adapter, "environment", environment)

    return want


def imports(python: Path, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def test_an_environment_is_made_once_and_again_where_it_is_unfinished_or_repinned(
    wanting: Wanting, tmp_path: Path
) -> None:
    first = Environment((wheel(tmp_path), wheel(tmp_path, "breaker")), remove=("breaker",))
    wanting(first)
    assert [(env.name, env.state) for env in envs.envs()] == [("transformers", "absent")]
    told: list[str] = []
    made = envs.create("transformers", say=told.append)
    assert made.state == "ready"
    assert made.bytes and made.bytes > 1e6
    assert imports(made.python, "tinyruntime") and not imports(made.python, "breaker")
    assert told

    touched = (made.path / envs.MARKER).stat().st_mtime_ns
    assert envs.create("transformers") == made
    assert (made.path / envs.MARKER).stat().st_mtime_ns == touched
    assert (made.path / envs.MARKER).stat().st_mtime_ns < (
        (envs.create("transformers", anew=True).path / envs.MARKER).stat().st_mtime_ns
    )

    (made.path / envs.MARKER).unlink()  # as after a kill -9 while installing
    found = envs.find("transformers")
    assert found is not None and found.state == "unfinished"
    assert envs.create("transformers").state == "ready"

    wanting(replace(first, remove=()))
    again = envs.create("transformers", say=told.append)
    assert again.path != made.path
    assert imports(again.python, "breaker")
    assert not made.path.exists()
    assert any("an older mtpbench made" in text for text in told)


def test_a_worker_of_an_environment_sees_two_packages_of_ours_and_nothing_else(
    wanting: Wanting, tmp_path: Path
) -> None:
    wanting(Environment((wheel(tmp_path),)))
    assert interpreter_of("transformers") == sys.executable
    assert advised("transformers", MISSING).advice == "mtpbench env create transformers"
    made = envs.create("transformers")
    python = interpreter_of("transformers")
    assert python == str(made.python)
    assert advised("transformers", MISSING).advice == MISSING.advice
    environment = environment_of(python, worker_environment(os.environ, 1))
    seen = subprocess.run(
        [python, "-P", "-c", "import backends, results, sys; print(*sys.path, sep='\\n')"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert sys.prefix not in seen
    for module in ("harness", "mtpbench", "numpy"):
        asked = [python, "-P", "-c", f"import {module}"]
        assert subprocess.run(asked, env=environment, capture_output=True, check=False).returncode
    with Worker("transformers", tmp_path / "log", environment, python) as worker:
        found = worker.ask(Probe(), 60).availability
    assert not found.usable
    assert "torch is not installed" in found.reason or "transformers is not installed" in found.reason


def test_an_installation_that_fails_is_explained_and_leaves_only_its_log(wanting: Wanting, tmp_path: Path) -> None:
    wanting(Environment(("no-such-runtime==1.0",)))
    with pytest.raises(UsageError, match=r"transformers: installing failed: .*no-such-runtime") as raised:
        envs.create("transformers")
    assert "\n" not in str(raised.value)
    found = envs.find("transformers")
    assert found is not None and found.state == "absent"
    assert "no-such-runtime" in found.path.with_suffix(".log").read_text()


def test_a_repair_that_fails_is_a_failure_of_the_whole(wanting: Wanting, tmp_path: Path) -> None:
    wanting(Environment((wheel(tmp_path),), mend="backends.no_such_repair"))
    with pytest.raises(UsageError, match=r"mending failed: .*no_such_repair"):
        envs.create("transformers")


def test_a_backend_without_an_environment_says_so(wanting: Wanting) -> None:
    wanting(None)
    with pytest.raises(UsageError, match="what it needs is installed with mtpbench; mtpbench doctor says"):
        envs.create("transformers")


@pytest.mark.parametrize(
    ("printed", "meaning"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for mlx==9", "no build of mlx==9 for this platform"),
        ("ERROR: Package 'x' requires a different Python: 3.9.1 not in '>=3.11'", "another Python: 3.9.1 not in"),
        ("urllib3.exceptions.NewConnectionError: Failed", "index is unreachable"),
        ("something else\n\nwent wrong\n", "something else | went wrong"),
        ("", "printed nothing"),
    ],
)
def test_what_an_installer_prints_is_explained(printed: str, meaning: str) -> None:
    assert meaning in envs.explain(printed)


# ----------------------------------------------------------------------------------------------------- the settings


def settle(text: str) -> Path:
    path = settings.place()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_interpreter_of_the_user_s_own_goes_before_the_environment(wanting: Wanting, tmp_path: Path) -> None:
    wanting(Environment((wheel(tmp_path),)))
    mine = tmp_path / "python"
    mine.symlink_to(sys.executable)
    settle(f'[interpreters]\ntransformers = "{mine}"\n')
    assert interpreter_of("transformers") == str(mine)
    assert environment_of(str(mine), {"VIRTUAL_ENV": "x", "PATH": "p"}).keys() == {"PATH", "PYTHONPATH"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interpreters = 3", "interpreters: expected [interpreters] with lines such as"),
        ("[interpreter]\n", "interpreter: expected [interpreters]"),
        ("[interpreters]\ntransfomers = 'python'", "there is no backend 'transfomers'; did you mean transformers?"),
        (
            "[interpreters]\ntransformers = '/nowhere/python'",
            "interpreters.transformers: no program at /nowhere/python",
        ),
        ("[interpreters\n", "not a settings file"),
    ],
)
def test_a_settings_file_that_makes_no_sense_is_one_line(wanting: Wanting, text: str, message: str) -> None:
    path = settle(text)
    with pytest.raises(UsageError) as raised:
        interpreter_of("transformers")
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_settings_file_that_is_named_must_be_there(wanting: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SETTINGS, "/nowhere/settings.toml")
    with pytest.raises(UsageError, match="no such settings file"):
        settings.read()


# ------------------------------------------------------------------------------------------------------ the commands


def test_the_commands_make_and_list(wanting: Wanting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanting(Environment((wheel(tmp_path),), notes=("a few lines",)))
    assert run(["env", "create", "all"]) == 0
    python = capsys.readouterr().out.strip()
    assert Path(python).exists()
    assert run(["env", "list", "--json"]) == 0
    assert f'"interpreter": "{python}"' in capsys.readouterr().out
    assert run(["env", "list"]) == 0
    shown = capsys.readouterr().out
    assert "ready" in shown and "a few lines" in shown
    wanting(Environment(("no-such-runtime==1.0",)))
    assert run(["env", "create", "transformers"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("mtpbench: transformers: installing failed: ")
