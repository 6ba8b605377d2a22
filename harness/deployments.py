"""How to run the settings of a run file without mtpbench: each backend's own words, from what the file stores.

A run file may be a stranger's: what it names is quoted by the backends, it cannot allow a model's own code to run, and
nothing is loaded or launched here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from backends import discover
from backends.base import Backend, Deployment
from backends.quoting import remark
from results.errors import UsageError
from results.records import PLAIN, SPECULATIVE, Cell, Launch, ModelFormat, Pair
from results.store import RunFile
from workloads.pairs import fitting

DISTRUSTED = "Measured with code of the model's own (--trust-remote-code): allow that only where you have read it."


def deployments(file: RunFile, chosen: Collection[int] = ()) -> dict[int, str]:
    """Cell id -> text to deploy it by, for plain and drafted cells that were measured and can be deployed.

    chosen: ids of the cells of this file that are recommended. Where they differ between batch sizes, a runtime that
    can change its draft length with the batch is told how.
    """
    cells, launches = file.cells(), file.launches()
    rows = file.query("SELECT DISTINCT cell_id, launch_id FROM trial ORDER BY cell_id, launch_id")
    last = {cell_id: launches[launch_id] for cell_id, launch_id in rows if launches[launch_id].facts is not None}
    by_batch = {id_: sizes for group in _alike(cells, chosen) for id_, sizes in _schedule(group).items()}
    found: dict[int, str] = {}
    for cell_id, launch in last.items():
        cell = cells[cell_id]
        if cell.role in (PLAIN, SPECULATIVE) and (text := _text(cell, launch, by_batch.get(cell_id, ()))):
            found[cell_id] = text
    return found


def measure_only(backends: Iterable[str]) -> dict[str, str]:
    """Of these backends those that nobody deploys with -> why."""
    return {name: known.measures_only for name in backends if (known := _backend(name)) and known.measures_only}


def _backend(name: str) -> Backend | None:
    """None for imported figures, and for an adapter of a package that is not here."""
    try:
        return discover.load(name)
    except UsageError:
        return None


def _text(cell: Cell, launch: Launch, by_batch: tuple[tuple[int, int], ...]) -> str | None:
    """None where the backend is not known here, or has nothing to say."""
    backend = _backend(cell.backend)
    if backend is None:
        return None
    try:
        _refuse_options(launch)
        wanted = Deployment(
            pair=_pair(launch.pair, backend),
            engine=replace(launch.engine, draft=cell.draft, trust_remote_code=False),
            batch_size=cell.batch_size,
            max_new_tokens=cell.output_tokens,
            sampling=cell.sampling,
            facts=launch.facts,
            by_batch=by_batch,
        )
        text = backend.deployment(wanted)
    except UsageError as error:
        return remark(f"How to deploy it cannot be said: {error}")
    return f"{text}\n{remark(DISTRUSTED)}" if text and launch.engine.trust_remote_code else text


def _refuse_options(launch: Launch) -> None:
    """Raises UsageError for what a program would take for an option where it expects a value."""
    for value in (launch.engine.dtype, launch.engine.device, launch.facts.device if launch.facts else ""):
        if value.startswith("-"):
            raise UsageError(f"{value!r} is no dtype and no device")


def _pair(name: str, backend: Backend) -> Pair:
    """The pair of that name as the backend loads it; the name's own words where its files are not on this machine.

    Raises UsageError where it has none that this backend loads.
    """
    formats: tuple[ModelFormat, ...] = backend.capabilities.formats
    try:
        pair, misfit = fitting(name, formats)
    except UsageError:  # no such files here
        target, _, assistant = name.partition(":")
        return Pair(name, _named(target), _named(assistant) if assistant else None)
    if misfit is not None:
        raise UsageError(misfit)
    return pair


def _named(model: str) -> str:
    """A model's name that no program takes for an option."""
    if model.startswith("~/"):
        return str(Path(model).expanduser())
    return f"./{model}" if model.startswith("-") or not model else model


def _alike(cells: Mapping[int, Cell], chosen: Collection[int]) -> Iterator[dict[int, Cell]]:
    """The chosen cells, those together that differ in nothing but batch size and draft."""
    groups: dict[Cell, dict[int, Cell]] = {}
    for cell_id in sorted(chosen, key=lambda id_: cells[id_].batch_size):
        cell = cells[cell_id]
        shared = replace(cell, group=0, role=PLAIN, draft=None, batch_size=1)
        groups.setdefault(shared, {})[cell_id] = cell
    yield from groups.values()


def _schedule(cells: Mapping[int, Cell]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Drafted cell -> (batch size, draft length) of all, ascending; empty where one length, or none, is right for
    all, or where methods differ."""
    lengths = {cell.batch_size: 0 if cell.draft is None else cell.draft.length for cell in cells.values()}
    methods = {cell.draft.method for cell in cells.values() if cell.draft is not None}
    if len(methods) != 1 or len(lengths) != len(cells) or len(set(lengths.values())) == 1:
        return {}
    return {id_: tuple(lengths.items()) for id_, cell in cells.items() if cell.draft is not None}
