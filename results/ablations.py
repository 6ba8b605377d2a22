"""What MTP loses with one of its parts: arms of one sweep that differ in that part alone (`mtpbench run --ablate`)."""

from collections.abc import Iterator, Mapping, Sequence

from results.compare import speedup_ratio
from results.verdicts import Ablation, CellVerdict

WHOLE = "mtp"
WITHOUT: Mapping[str, str] = {
    "centroids": "mtp-full-softmax",
    "activations": "mtp-no-activations",
    "shared-kv": "mtp-own-prefill",
    "embeddings": "mtp-own-embeddings",
}
"""Part -> the draft method that is MTP without it."""


def ablations(cells: Sequence[CellVerdict]) -> list[Ablation]:
    """Of every arm without a part that has the whole beside it: same group, same draft length."""
    wholes = {(cell.group, cell.draft_length): cell for cell in cells if cell.method == WHOLE and _counts(cell)}
    return [
        _ablation(part, whole, cell)
        for part, cell in _arms(cells)
        if (whole := wholes.get((cell.group, cell.draft_length))) is not None
    ]


def _arms(cells: Sequence[CellVerdict]) -> Iterator[tuple[str, CellVerdict]]:
    for part, method in WITHOUT.items():
        yield from ((part, cell) for cell in cells if cell.method == method and _counts(cell))


def _counts(cell: CellVerdict) -> bool:
    return cell.status == "ok" and not cell.not_lossless and (cell.speedup or cell.acceptance) is not None


def _ablation(part: str, whole: CellVerdict, without: CellVerdict) -> Ablation:
    """Speed-up without the part / with it, geometric mean over units, paired: the plain arm cancels (TPOT with the part
    / without it). Acceptance length likewise, of all rounds. Below 1: the part is worth something."""
    ratio = None
    if whole.speedup is not None and without.speedup is not None:
        same = {unit: str(unit) for unit, _, _ in (*whole.speedup.per_unit, *without.speedup.per_unit)}
        ratio = speedup_ratio(whole.speedup, without.speedup, (same, same))
    lengths = [cell.acceptance.length for cell in (without, whole) if cell.acceptance is not None]
    return Ablation(
        part=part,
        group=without.group,
        method=without.method,
        draft_length=without.draft_length,
        speedup=ratio.point if ratio else None,
        new_prompts=ratio.interval if ratio else None,
        confidence=ratio.confidence if ratio else None,
        units=ratio.units if ratio else 0,
        acceptance=lengths[0] / lengths[1] if len(lengths) == 2 else None,
        synthetic=whole.synthetic or without.synthetic,
        own_bytes=without.own_bytes,
    )
