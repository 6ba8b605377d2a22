"""The acceptance profile of a pair: greedy texts decoded once without drafts, then drafted from at every position."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from backends import wire
from backends.protocol import Generate, Open, Probe
from backends.protocol import Profile as Ask
from harness import experiment, prompting, provenance
from harness.client import Worker
from harness.environment import worker_environment
from harness.fleet import Running
from harness.interpreters import advised, environment_of, interpreter_of
from harness.plan import Engine, Plan
from harness.sweep import Sweep, asks_for_demo, load
from harness.telemetry import Monitor
from results.errors import RunFileError, UsageError
from results.profile import LONGEST, SCHEMA, Profile, Text
from results.records import Launch, Prompt, Request

BACKEND = "reference"
"""The engine that drafts from a text that is given."""
DEFAULTS = Path(__file__).parent / "sweeps" / "profile.toml"
"""The embedded demo pair's; used where no other pair is named."""
ENDING = ".profile.json"
Say = Callable[[str], None]


def plan_of(k_max: int, given: Mapping[str, object]) -> Plan:
    """What is to be profiled. given: fields of `Sweep` as for `harness.sweep.load`. Raises UsageError."""
    if not 1 <= k_max <= LONGEST:
        raise UsageError(f"--k-max {k_max}: expected a draft length of 1 to {LONGEST}")
    fixed = {"backends": [BACKEND], "methods": ["mtp"], "draft_lengths": str(k_max), "temperature": "0"}
    sweep = load(DEFAULTS if asks_for_demo(given) else None, {**given, **fixed})
    for flag, values in (("-m", sweep.pairs), ("-p", sweep.prompt_tokens)):
        if len(values) > 1:
            raise UsageError(f"{flag} {','.join(map(str, values))}: a profile is of one; make one for each")
    return experiment.dry_run(sweep)


def measure(plan: Plan, say: Say) -> Profile:
    """Decode and draft. say: is told how far it is. Raises UsageError, and CallFailed where the engine fails."""
    sweep, (group,), (engine,) = plan.sweep, plan.groups, plan.engines
    sources, k_max = prompting.texts(sweep), sweep.draft_lengths[0]
    environment = worker_environment(os.environ, sweep.threads)
    say(f"loading {engine.pair.name}")
    with _running(engine, sweep, environment) as running:
        prompts = [prompt for unit in prompting.units(group, running, sources, sweep) for prompt in unit]
        texts = []
        for done, prompt in enumerate(prompts, 1):
            say(f"prompt {done} of {len(prompts)}")
            texts.append(_text(running.worker, prompt, k_max, sweep))
    return Profile(
        schema=SCHEMA,
        mtpbench=metadata.version("mtpbench"),
        created_unix_ns=time.time_ns(),
        pair=engine.pair.name,
        synthetic=engine.pair.random_weights,
        prompt_tokens=group.cell.prompt_tokens,
        output_tokens=sweep.output_tokens,
        k_max=k_max,
        facts=running.facts,
        sweep=sweep.describe(),
        provenance=provenance.collect(environment),
        texts=tuple(texts),
    )


def _text(worker: Worker, prompt: Prompt, k_max: int, sweep: Sweep) -> Text:
    """One prompt's greedy continuation and its profile."""
    (plain,) = worker.ask(Generate((prompt,), Request(sweep.output_tokens)), sweep.trial_timeout).generations
    tokens = plain.token_ids
    assert tokens is not None  # the backend gives ids
    return Text(prompt, tokens, worker.ask(Ask(prompt, tokens, k_max), sweep.trial_timeout))


@contextmanager
def _running(engine: Engine, sweep: Sweep, environment: dict[str, str]) -> Iterator[Running]:
    """The engine, up; its log goes with it."""
    interpreter = interpreter_of(engine.backend)
    with (
        tempfile.TemporaryDirectory() as folder,
        Worker(engine.backend, Path(folder) / "log", environment_of(interpreter, environment), interpreter) as worker,
    ):
        found = advised(engine.backend, worker.ask(Probe(), sweep.start_timeout).availability)
        if not found.usable:
            raise UsageError(
                f"backend {engine.backend} cannot be used here: {found.reason}; {found.advice}".rstrip("; ")
            )
        started = time.time_ns()
        facts = worker.ask(Open(engine.pair, engine.config), sweep.start_timeout)
        launch = Launch(engine.backend, engine.pair.name, engine.config, started, facts)
        yield Running(launch, worker, facts, 0, Monitor(worker.pid, facts.device))


# --------------------------------------------------------------------------------------------------------- files


def place(out: Path | None, sweep: Sweep) -> Path:
    """Where a new profile goes, its folder made: `out`, or `runs/<UTC time>-<name>.profile.json`. Raises UsageError."""
    path = out or experiment.FOLDER / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{sweep.name}{ENDING}"
    if path.is_dir():
        raise UsageError(f"--out {path}: that is a folder; name a file in it, e.g. {path / f'{sweep.name}{ENDING}'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: cannot make the folder {path.parent}: {error.strerror or error}") from error
    return path


def write(profile: Profile, path: Path) -> None:
    """As JSON, whole or not at all. Raises UsageError where it cannot be written."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(wire.to_json(profile), indent=1), "utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> Profile:
    """A stored profile. Raises RunFileError for a file that is none, that is damaged, or of another schema."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(f"{path}: no acceptance profile: not JSON") from error
    if not isinstance(stored, dict) or not {"schema", "k_max", "texts"} <= stored.keys():
        raise RunFileError(f"{path}: no acceptance profile: `mtpbench profile --out FILE` writes one")
    if stored["schema"] != SCHEMA:
        raise RunFileError(f"{path}: schema {stored['schema']!r:.20} is not {SCHEMA}, which this version reads")
    try:
        return wire.from_json(Profile, stored)
    except wire.WireError as error:
        raise RunFileError(f"{path}: a damaged acceptance profile: {error}") from error
