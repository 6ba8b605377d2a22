"""A sweep: what is to be measured, as a person wrote it in a TOML file and in flags, checked.

Every mistake is one UsageError line that names the file or flag, the key, the value and what was expected.
"""

import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from harness import keys, values
from harness.provenance import without_home
from results.ablations import WHOLE, WITHOUT
from results.errors import RunFileError, UsageError

EMBEDDED = "demo"
"""The sweep of `mtpbench run` without arguments, and the pair that it measures."""

REMOTE_CODE = "trust_remote_code"

_FLAGS = {
    "backends": "-b",
    "pairs": "-m",
    "draft_lengths": "-k",
    "batch_sizes": "-B",
    "prompt_tokens": "-p",
    "output_tokens": "-n",
    "workloads": "-w",
    "methods": "--method",
    "backend": "-o",
}

Count = Annotated[int, BeforeValidator(values.whole), Field(ge=1)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(values.wholes)]
Names = Annotated[tuple[str, ...], BeforeValidator(values.names)]
Lengths = Annotated[tuple[Annotated[int, Field(ge=1)] | None, ...], BeforeValidator(values.lengths)]
Places = Annotated[Names, AfterValidator(lambda names: tuple(map(without_home, names)))]
"""Names or paths; a run file shall not tell whose home folder they lie in."""
Seconds = Annotated[float, BeforeValidator(values.seconds), Field(gt=0)]


class Only(BaseModel):
    """What is asked of one backend instead of what the sweep says; None: as the sweep says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    draft_lengths: Counts | None = None
    batch_sizes: Counts | None = None
    prompt_tokens: Lengths | None = None
    warmup: Count | None = None
    prompts: Count | None = None
    """At most so many units."""


class Sweep(BaseModel):
    """What to measure. The keys of a sweep file are these fields; their descriptions are what errors quote."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field("run", pattern=r"^[\w][\w.-]*$", description="a word for the run file's name")
    backends: Names = Field(("transformers",), description='names of backends, such as ["transformers"]')
    pairs: Places = Field((EMBEDDED,), description="names of pairs, or TARGET:ASSISTANT as hub ids or local folders")
    methods: Names = Field(("mtp",), description='draft methods, such as ["mtp", "prompt-lookup"]')
    draft_lengths: Counts = Field(
        (1, 2, 3, 4, 5, 6), description='draft lengths of at least 1, such as "1-6" or "1,2,4"'
    )
    batch_sizes: Counts = Field((1,), description='batch sizes of at least 1, such as "1,4"')
    prompt_tokens: Lengths = Field(
        (None,), description='prompt lengths in tokens of at least 1, such as "64,256", or "own"'
    )
    output_tokens: Count = Field(128, description="a number of new tokens of at least 1")
    workloads: Places = Field(("mixed",), description="names of workloads, or paths of JSONL or text files")
    prompts: Count | None = Field(None, description="a number of units (batches of prompts) of at least 1")
    categories: Annotated[tuple[str, ...], BeforeValidator(lambda v: values.names(v) if v else ())] = Field(
        (), description="names of prompt categories; none means all"
    )
    raw: bool = Field(False, description="true or false (true: no chat template)")
    thinking: bool = Field(False, description="true or false (true: the template's thinking mode)")
    temperature: Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(values.numbers)] = Field(
        (0.0,), description='temperatures of at least 0, such as 0 or "0,0.8"'
    )
    top_k: Count | None = Field(None, description="a whole number of at least 1")
    top_p: Annotated[float, BeforeValidator(values.number), Field(gt=0, le=1)] | None = Field(
        None, description="a share above 0 and up to 1"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto, float32, bfloat16 or float16"
    )
    device: str = Field("auto", min_length=1, description="auto, cpu, cuda, cuda:1, mps, …")
    threads: Count | None = Field(None, description="a number of CPU threads of at least 1")
    backend: Annotated[dict[str, dict[str, JsonValue]], AfterValidator(keys.refuse)] = Field(
        {}, description="a table of options per backend: [backend.NAME], or -o NAME.option=value"
    )
    only: dict[str, Only] = Field(
        {},
        description="a table per backend, [only.NAME], of which draft_lengths, batch_sizes, prompt_tokens and warmup "
        "it alone is asked for, and for how many prompts (units) at most",
    )
    ignore_eos: bool = Field(False, description="true or false (true: run past the natural end)")
    speed: bool = Field(True, description="true or false (false: only verify that the output is the target's own)")
    precision: Annotated[float, BeforeValidator(values.fraction), Field(gt=0, lt=1)] | None = Field(
        None, description="the half-width of the speed-up interval to stop at, such as 2%"
    )
    time_budget: Seconds | None = Field(None, description="how long the whole measurement may take, such as 5m or 90s")
    repeats: Count | None = Field(None, description="a number of visits to every unit, in each launch, of at least 1")
    launches: Count = Field(1, description="how often every engine is launched anew, at least 1")
    seed: Annotated[int, BeforeValidator(values.whole)] = Field(
        0, ge=0, lt=2**63, description="a whole number of at least 0, below 2^63"
    )
    warmup: Count = Field(5, description="the most warm-up calls of an arm, at least 1")
    start_timeout: Seconds = Field(1800.0, description="how long an engine may take to come up, such as 30m")
    trial_timeout: Seconds = Field(600.0, description="how long one call may take, such as 10m")
    trust_remote_code: bool = Field(False, description="true or false, from the command line only")

    def of(self, backend: str) -> "Sweep":
        """The sweep as this backend is asked to run it; how many units at most is `harness.plan.units_of`'s matter."""
        own = self.only.get(backend, Only()).model_dump(exclude={"prompts"}, exclude_none=True)
        return self.model_copy(update=own)

    def describe(self) -> dict[str, Any]:
        """The sweep as JSON, for the run file's manifest; `from_manifest` rebuilds it."""
        return self.model_dump(mode="json")


def load(path: Path | None, overrides: Mapping[str, object]) -> Sweep:
    """The sweep of a file, with flags set over it.

    path: None starts from the embedded demo sweep where no other pair than the demo pair is named, and
        from the defaults of `Sweep` elsewhere.
    overrides: field -> value; None and empty lists mean that the flag was not given. `backend` is a list of
        `NAME.option=value`. `ablate`: parts of MTP, each taken away in an arm beside MTP.
    Raises UsageError.
    """
    given = {key: value for key, value in overrides.items() if value is not None and value not in ([], ())}
    embedded = path is None and asks_for_demo(given)
    if embedded:
        path = Path(str(files("harness") / "sweeps" / f"{EMBEDDED}.toml"))
    table = {} if path is None else _read(path)
    if embedded:
        _yield(table, given)
    if path is not None:
        table.setdefault("name", re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "run")
    options, parts = given.pop("backend", ()), given.pop("ablate", ())
    merged = {**table, **given}
    if parts:
        merged["methods"] = _with_ablations(merged.get("methods", WHOLE), parts)
    if options:
        merged["backend"] = _with_options(table.get("backend", {}), options)
    return _checked(merged, path, given.keys() | ({"backend"} if options else set()))


def asks_for_demo(given: Mapping[str, object]) -> bool:
    """No other pair than the demo pair is named."""
    return (given.get("pairs") or EMBEDDED) in (EMBEDDED, [EMBEDDED], (EMBEDDED,))


def from_manifest(stored: object, overrides: Mapping[str, object], source: Path) -> Sweep:
    """The sweep that a run file was measured with, for resuming.

    overrides: how long to go on (`precision`, `time_budget`, `repeats`) and `trust_remote_code`, which a
        run file can never grant: it may come from anyone.
    Raises UsageError.
    """
    if not isinstance(stored, dict):
        raise RunFileError(f"{source}: holds no sweep, so it cannot be resumed")
    given = {key: value for key, value in overrides.items() if value is not None and value not in ([], ())}
    fixed = given.keys() - {"precision", "time_budget", "repeats", REMOTE_CODE}
    if fixed:
        may = (
            "--draws and --time-budget" if stored.get("speed") is False else "--precision, --time-budget and --repeats"
        )
        raise UsageError(f"{_flag(min(fixed))}: a resumed run keeps its sweep; only {may} may change")
    return _checked({**stored, REMOTE_CODE: False, **given}, source, given.keys())


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such sweep file") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}") from error
    if REMOTE_CODE in table:
        raise UsageError(
            f"{path}: {REMOTE_CODE}: a sweep file cannot allow a model's own code to run; pass --trust-remote-code "
            "if you have read that code"
        )
    return table


def _yield(table: dict[str, Any], given: Mapping[str, object]) -> None:
    """What the embedded sweep says for want of a better word gives way to flags.

    Its one visit to every prompt does, where another limit is named. Backends that are asked for less are there for a
    look at their speed: they fall out where none is measured, are asked for all where backends are named, and elsewhere
    their own values yield to flags, but for how many units.
    """
    untimed = given.get("speed") is False
    if untimed or given.keys() & {"precision", "time_budget"}:
        del table["repeats"]
    if untimed:
        table["backends"] = [name for name in table["backends"] if name not in table["only"]]
    looked_at = {} if untimed or "backends" in given else table["only"]
    table["only"] = {
        name: {key: value for key, value in asked.items() if key not in given or key == "prompts"}
        for name, asked in looked_at.items()
    }


def _with_options(table: object, options: object) -> object:
    """The file's [backend.NAME] tables with every `NAME.option=value` set over them."""
    if not isinstance(table, dict) or not all(isinstance(inner, dict) for inner in table.values()):
        return table  # wrong already, and reported as such
    merged = {name: dict(inner) for name, inner in table.items()}
    for text in options if isinstance(options, list | tuple) else [options]:
        try:
            name, key, value = values.option(str(text))
        except ValueError as error:
            raise UsageError(f"-o {text}: expected BACKEND.option=value, such as vllm.max_num_seqs=8") from error
        merged.setdefault(name, {})[key] = value
    return merged


def _with_ablations(methods: object, parts: object) -> list[object]:
    """The methods, MTP and MTP without each part. Raises UsageError for a part that is none."""
    named = values.as_list(parts)
    for part in named:
        if part not in WITHOUT:
            near = get_close_matches(str(part), WITHOUT, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(WITHOUT)}"
            raise UsageError(f"--ablate {part}: no part of MTP: {hint}")
    return [*dict.fromkeys([*values.as_list(methods), WHOLE, *(WITHOUT[str(part)] for part in named)])]


def _checked(table: dict[str, Any], path: Path | None, from_flags: Iterable[str]) -> Sweep:
    """The validated sweep, or the first mistake as one line."""
    flags = set(from_flags)
    speed = table.get("speed") is not False

    def place(key: str, value: object = None) -> str:
        shown = "" if value is None else reprlib.repr(value)
        if key in flags or path is None:
            return f"{_flag(key, speed=speed)} {shown}".rstrip()
        return f"{path}: {key} = {shown}" if shown else f"{path}: {key}"

    try:
        sweep = Sweep.model_validate(table)
    except UsageError as error:
        raise UsageError(f"{place('backend')}: {error}") from error
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        field = Sweep.model_fields.get(key)
        if field is None:
            near = get_close_matches(key, Sweep.model_fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(Sweep.model_fields)}"
            raise UsageError(f"{place(key)}: no such key; {hint}") from error
        raise UsageError(f"{place(key, table[key])}: expected {field.description}") from error
    for name in sweep.only:
        if name not in sweep.backends:
            raise UsageError(f"{place('only')}: a table for {name}, not one of {', '.join(sweep.backends)}")
    for name, options in sweep.backend.items():
        if name not in sweep.backends:
            raise UsageError(f"{place('backend')}: options for {name}, not one of {', '.join(sweep.backends)}")
        if _asks_for_remote_code(options):
            raise UsageError(
                f"{place('backend')}: {name}.{REMOTE_CODE}: only the flag --trust-remote-code can allow that"
            )
    return sweep


def _asks_for_remote_code(options: object) -> bool:
    if isinstance(options, dict):
        return any(
            str(key).strip("-").replace("-", "_").lower() == REMOTE_CODE or _asks_for_remote_code(value)
            for key, value in options.items()
        )
    return isinstance(options, list) and any(_asks_for_remote_code(item) for item in options)


def _flag(key: str, *, speed: bool = True) -> str:
    if key == "repeats" and not speed:
        return "--draws"  # its name in `mtpbench verify`
    return _FLAGS.get(key, "--" + key.replace("_", "-"))
