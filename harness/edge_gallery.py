"""Benchmarks of Google's AI Edge Gallery, copied from its screen as CSV, as a run file: phones in the same tables.

The app copies a header and one line; any number of such pieces may follow each other in a file. The line does not say
whether drafts were on, so that the user gives two files, and states which is which; nor how many tokens were drafted
a round, which is fixed in the model's bundle; nor which phone it was. Nor does it say whether its figures are the mean
(the app's default), the median or an extreme of its runs. A column `speculative decoding`, which some builds of the app
add, must agree with what the user says.

The app's benchmark fills its prompt up without text, so that its cells are synthetic.
"""

import csv
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from harness.provenance import command_line
from results.errors import UsageError
from results.imported import KEY, Stated
from results.records import PLAIN, SPECULATIVE, Cell, Draft, Json, Sampling
from results.store import RunWriter

BACKEND = "edge-gallery"
SOURCE = "AI Edge Gallery"
METHOD = "mtp"
UNSTATED = "unstated"
"""The dtype: the app names none."""

COLUMNS = (
    "start time (ms)",
    "end time (ms)",
    "model name",
    "accelerator",
    "prefill tokens count",
    "decode tokens count",
    "runs count",
    "app version",
    "prefill speed (tokens/sec)",
    "decode speed (tokens/sec)",
    "time to first token (sec)",
    "first init time (ms)",
    "steady init time (ms)",
)
SPECULATION = "speculative decoding"


@dataclass(frozen=True, slots=True)
class Setting:
    """What two benchmarks must share to be compared."""

    model: str
    accelerator: str
    prefill_tokens: int
    decode_tokens: int

    def __str__(self) -> str:
        return f"{self.model} on {self.accelerator} with {self.prefill_tokens} + {self.decode_tokens} tokens"


Read = dict[Setting, list[Stated]]


def import_csv(plain: Path, mtp: Path, out: Path, *, draft_length: int, device: str, pair: str | None = None) -> Path:
    """Write a run file of imported cells: one for each setting, which both files must have.

    plain, mtp: what the app copied without and with drafts. draft_length: drafts a round, as the model's bundle has
    it baked in (`mtpbench`'s `litert` backend reads it from a bundle). device: the phone, in the user's words. pair:
    what the table calls the model; None: as the app does. Returns `out`. Raises UsageError, in one line, for files
    that are no such benchmarks or do not go together, and where `out` exists.
    """
    if draft_length < 1:
        raise UsageError(f"draft length {draft_length}: a bundle drafts at least 1 token a round")
    without, drafted = read(plain, drafts=False), read(mtp, drafts=True)
    for here, there, path, lacks in ((drafted, without, plain, mtp), (without, drafted, mtp, plain)):
        if missing := [setting for setting in here if setting not in there]:
            raise UsageError(f"{path} has no benchmark of {missing[0]}, which {lacks} has: the two must match")
    groups: list[Json] = []
    for number, setting in enumerate(drafted):
        arms = (("plain", without[setting]), ("speculative", drafted[setting]))
        groups.append({"group": number, **{arm: [asdict(stated) for stated in rows] for arm, rows in arms}})
    with RunWriter.create(out, _manifest(groups)) as writer:
        for number, setting in enumerate(drafted):
            for cell in _cells(number, setting, draft_length, device, pair):
                writer.add_cell(cell)
        writer.finish("finished")
    return out


def read(path: Path, *, drafts: bool) -> Read:
    """The benchmarks of a file, by setting, in the order they come. drafts: what the user says of them."""
    found: Read = {}
    for place, row in _rows(path):
        try:
            said = row.get(SPECULATION)
            if said is not None and said.lower() != str(drafts).lower():
                raise ValueError(
                    f"{SPECULATION} is {said!r}, and this file was given as the one with MTP {_on(drafts)}"
                )
            setting = Setting(
                row["model name"], row["accelerator"], int(row["prefill tokens count"]), int(row["decode tokens count"])
            )
            if not setting.model or min(setting.prefill_tokens, setting.decode_tokens) < 1:
                raise ValueError("a benchmark has a model and at least one token each way")
            found.setdefault(setting, []).append(_stated(row))
        except ValueError as error:
            raise UsageError(f"{place}: {error}") from error
    if not found:
        raise UsageError(f"{path} holds no benchmark: copy it from the app's benchmark screen, header and line")
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(where it is, column -> value) of each line under a header; the app quotes nothing."""
    try:
        text = path.expanduser().read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise UsageError(f"{path} cannot be read: {why}") from error
    header: list[str] = []
    for number, fields in enumerate(csv.reader(text.splitlines()), 1):
        place = f"{path}, line {number}"
        cells = [field.strip() for field in fields]
        if not any(cells):
            continue
        if cells[0].lower() == COLUMNS[0]:
            header = [cell.lower() for cell in cells]
            if lacking := [column for column in COLUMNS if column not in header]:
                raise UsageError(f"{place}: there is no column {lacking[0]!r}")
            continue
        if not header:
            raise UsageError(f"{place}: expected the header that the app copies, which begins with {COLUMNS[0]!r}")
        if len(cells) != len(header):
            raise UsageError(f"{place}: {len(cells)} fields under {len(header)} columns (a comma in the model's name?)")
        yield place, dict(zip(header, cells, strict=True))


def _stated(row: Mapping[str, str]) -> Stated:
    """Raises ValueError."""
    runs = int(row["runs count"])
    return Stated(
        started_unix_ms=int(row["start time (ms)"]),
        ended_unix_ms=int(row["end time (ms)"]),
        runs=runs,
        app_version=row["app version"],
        prefill_tokens_per_s=float(row["prefill speed (tokens/sec)"]),
        decode_tokens_per_s=float(row["decode speed (tokens/sec)"]),
        ttft_s=float(row["time to first token (sec)"]),
        first_init_ms=float(row["first init time (ms)"]),
        steady_init_ms=float(row["steady init time (ms)"]) if runs > 1 else None,
    )


def _cells(group: int, setting: Setting, draft_length: int, device: str, pair: str | None) -> Iterator[Cell]:
    for role, draft in ((PLAIN, None), (SPECULATIVE, Draft(METHOD, draft_length))):
        yield Cell(
            group=group,
            role=role,
            backend=BACKEND,
            pair=pair or setting.model,
            draft=draft,
            batch_size=1,
            prompt_tokens=setting.prefill_tokens,
            output_tokens=setting.decode_tokens,
            sampling=Sampling(),
            dtype=UNSTATED,
            device=f"{device} {setting.accelerator}",
            synthetic=True,
        )


def _manifest(groups: list[Json]) -> dict[str, Json]:
    return {
        "schema_of": metadata.version("mtpbench"),
        "name": BACKEND,
        "argv": command_line(),
        "created_unix_ns": time.time_ns(),
        KEY: {"source": SOURCE, "groups": groups},
    }


def _on(drafts: bool) -> str:
    return "on" if drafts else "off"
