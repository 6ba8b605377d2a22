"""action.yml and docs/ci.md: every shell script in them runs, and the command line accepts every `mtpbench …` in it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.dry_run import parse

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
OTHERS = ("pip", "git", "gh", "python", "python3")
"""What else the scripts call: it does nothing here, unless a test says otherwise."""


class Shell:
    """Runs scripts in a folder of their own, with a dry `mtpbench` and harmless stand-ins for everything else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        self.bin.mkdir()
        dry = ROOT / "tests" / "support" / "dry_run.py"
        self.put("mtpbench", f'exec {shlex.quote(sys.executable)} {shlex.quote(str(dry))} {self.log} "$@"')
        for name in OTHERS:
            self.put(name, "exit 0")
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "RUNNER_TEMP": str(folder),
            "GITHUB_RUN_ID": "7",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_WORKFLOW": "w",
            "GITHUB_ACTION_PATH": str(ROOT),
        } | {f"GITHUB_{name}": str(folder / name) for name in ("OUTPUT", "PATH", "STEP_SUMMARY")}

    def put(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (self.bin / name).chmod(0o755)

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.folder, text=True, check=False,
                              capture_output=True, env=os.environ | self.environment | more)  # fmt: skip

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def step(shell: Shell, name: str, results: Mapping[str, str] = {}, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the action with these inputs (`_` for `-`) and these outputs of earlier steps."""
    known = {key: str(one.get("default", "")) for key, one in ACTION["inputs"].items()}
    known |= {key.replace("_", "-"): value for key, value in inputs.items()}

    def value(match: re.Match[str]) -> str:
        kind, _, key = match[1].partition(".")
        return known[key] if kind == "inputs" else results.get(match[1], "")

    environment = {
        key: re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text) for key, text in STEPS[name].get("env", {}).items()
    }
    return shell.run(STEPS[name]["run"], **environment)


def gate(shell: Shell, *, code: int = 0, **inputs: str) -> subprocess.CompletedProcess[str]:
    (shell.folder / "run.sqlite").write_text("a run")
    run = {"steps.measure.outputs.run-file": str(shell.folder / "run.sqlite")}
    shell.environment["DRY_RUN_GATE"] = str(code)
    return step(shell, "Gate", run, **inputs)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def scripts(recipe: dict[str, Any]) -> Iterator[str]:
    """The shell scripts of a GitHub workflow or a GitLab pipeline."""
    jobs = recipe.get("jobs", recipe)
    for job in (job for job in jobs.values() if isinstance(job, dict)):
        for one in job.get("steps", []):
            if "run" in one:
                yield one["run"]
        lines = [*job.get("before_script", []), *job.get("script", [])]
        if lines:
            yield "\n".join(lines)


def test_the_stand_in_refuses_what_the_command_line_refuses(shell: Shell) -> None:
    assert parse(["env", "create", "vllm"]) == "env create"
    assert shell.run("mtpbench gate a.sqlite --max-speedup-los 3%").returncode == 2
    assert shell.run("mtpbench gait a.sqlite").returncode == 2
    assert shell.run("mtpbench show a.sqlite").returncode == 0 and shell.calls == ["show a.sqlite"]


def test_the_action_is_a_whole_one() -> None:
    assert ACTION["runs"]["using"] == "composite"
    text = (ROOT / "action.yml").read_text("utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"]), "every input is used, and none unknown"
    named = {one["id"] for one in STEPS.values() if "id" in one}
    assert set(re.findall(r"steps\.(\w+)\.", text)) <= named
    for one in STEPS.values():
        assert ("run" in one) == (one.get("shell") == "bash"), "a composite step that runs must name its shell"
        assert "${{" not in one.get("run", ""), "inputs reach scripts through the environment, not as code"


def test_the_action_installs_its_checkout_or_a_version_and_makes_environments(shell: Shell) -> None:
    shell.put("python3", 'mkdir -p "$3/bin"')
    shell.put("python", f'echo "$@" >> {shell.folder}/pip')
    assert step(shell, "Install mtpbench").returncode == 0
    assert step(shell, "Install mtpbench", version="0.1.0", extras="", runtimes="vllm mlx").returncode == 0
    first, second = (shell.folder / "pip").read_text().splitlines()
    assert first.endswith(f"--constraint {ROOT}/constraints.txt {ROOT}[transformers]")
    assert second.endswith("mtpbench==0.1.0")
    assert shell.calls == ["doctor", "env create vllm mlx", "doctor"]


@pytest.mark.parametrize("code", [0, 1, 4])
def test_the_action_measures_and_keeps_the_report_whatever_was_found(shell: Shell, code: int) -> None:
    shell.environment["DRY_RUN_RUN"] = str(code)
    done = step(shell, "Measure", sweep="ci/my sweep.toml", arguments="-b vllm -m 31B -k 1-8")
    assert done.returncode == code, done.stderr
    folder = shell.folder / "mtpbench-run"
    assert shell.calls == [
        f"run 'ci/my sweep.toml' -b vllm -m 31B -k 1-8 --out {folder}/run.sqlite --no-report",
        f"report {folder}/run.sqlite --output {folder}/report.html",
    ]
    assert f"run-file={folder}/run.sqlite" in (shell.folder / "OUTPUT").read_text()


@pytest.mark.parametrize("arguments", ["-k $(touch owned)", "-k `touch owned`", "-k 1 ; touch owned"])
def test_arguments_are_words_and_never_code(shell: Shell, arguments: str) -> None:
    step(shell, "Measure", arguments=arguments)
    assert not (shell.folder / "owned").exists()


def test_the_action_fetches_the_artifacts_of_earlier_runs(shell: Shell) -> None:
    shell.put("gh", f'echo "$@" >> {shell.folder}/gh; [ "$2" = list ] && echo -e "11\\n12" || [ "$3" = 12 ]')
    done = step(shell, "Fetch baselines", baseline_artifact="kept", baseline_runs="2")
    assert done.returncode == 0 and "run 11 of main left no artifact kept" in done.stdout
    listed, *downloads = (shell.folder / "gh").read_text().splitlines()
    assert "--branch main --status success --limit 2" in listed
    assert [line.split()[2] for line in downloads] == ["11", "12"]


@pytest.mark.parametrize(("no_baseline", "expected", "told"), [("pass", 0, "::warning"), ("fail", 1, "::error")])
def test_without_a_baseline_nothing_is_gated_and_that_is_said(
    shell: Shell, no_baseline: str, expected: int, told: str
) -> None:
    done = gate(shell, baselines="ci/none/*.sqlite", no_baseline=no_baseline)
    assert done.returncode == expected and not shell.calls
    assert f"{told} title=mtpbench::no baseline: nothing was gated" in done.stdout
    assert "decision=no baseline" in (shell.folder / "OUTPUT").read_text()


def test_a_run_that_left_no_file_fails_the_gate(shell: Shell) -> None:
    done = step(shell, "Gate", {"steps.measure.outputs.run-file": "nowhere.sqlite"}, baselines="a.sqlite")
    assert done.returncode == 1 and "no run file" in done.stdout


@pytest.mark.parametrize(
    ("code", "inconclusive", "decision", "expected"),
    [(0, "pass", "pass", 0), (1, "pass", "fail", 1), (3, "pass", "inconclusive", 0), (3, "fail", "inconclusive", 3),
     (2, "pass", None, 2)],
)  # fmt: skip
def test_the_job_ends_as_the_gate_decides(
    shell: Shell, code: int, inconclusive: str, decision: str | None, expected: int
) -> None:
    done = gate(shell, code=code, baselines="base.sqlite", inconclusive=inconclusive)
    assert done.returncode == expected, done.stderr
    output = shell.folder / "OUTPUT"
    assert (output.read_text().strip() if output.exists() else None) == (decision and f"decision={decision}")


def test_every_limit_reaches_the_gate(shell: Shell) -> None:
    fetched = shell.folder / "fetched" / "12"
    fetched.mkdir(parents=True)
    (fetched / "run.sqlite").write_text("a baseline")
    (shell.folder / "run.sqlite").write_text("a run")
    results = {"steps.measure.outputs.run-file": str(shell.folder / "run.sqlite"),
               "steps.fetch.outputs.folder": str(fetched.parent)}  # fmt: skip
    done = step(shell, "Gate", results, baselines="a.sqlite b.sqlite", max_speedup_loss="3%", min_speedup="1.5",
                max_slowdown="2%", max_acceptance_drop="0.02", require_equivalence="true", level="0.01",
                allow="settings prompts")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (call,) = shell.calls
    for part in ("--baseline a.sqlite --baseline b.sqlite --baseline", "12/run.sqlite", "--max-speedup-loss 3%",
                 "--min-speedup 1.5", "--max-slowdown 2%", "--max-acceptance-drop 0.02", "--require-equivalence",
                 "--level 0.01", "--allow settings --allow prompts", "--annotations"):  # fmt: skip
        assert part in call


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_every_recipe_parses_and_its_commands_are_accepted(shell: Shell, number: int) -> None:
    recipe = yaml.safe_load(blocks("yaml")[number])
    for folder in ("baselines", "ci/baselines"):
        (shell.folder / folder).mkdir(parents=True)
        (shell.folder / folder / "one.sqlite").write_text("a baseline")
    for script in scripts(recipe):
        done = shell.run(script)
        assert done.returncode == 0, f"{script}\n{done.stderr}"
    uses = [
        one for job in recipe.get("jobs", {}).values() for one in job["steps"] if "/mtpbench@" in str(one.get("uses"))
    ]
    for one in uses:
        assert set(one["with"]) <= set(ACTION["inputs"])
        assert parse(["run", *one["with"]["arguments"].split()]) == "run"
    assert shell.calls or uses


@pytest.mark.parametrize("text", blocks("bash"))
def test_every_command_of_the_page_is_accepted(shell: Shell, text: str) -> None:
    done = shell.run(text)
    assert done.returncode == 0 and shell.calls, done.stderr


def test_the_page_names_every_input() -> None:
    table = {name for row in PAGE.splitlines() if row.startswith("| `") for name in re.findall("`([^`]+)`", row)}
    assert set(ACTION["inputs"]) - {"token"} <= table
