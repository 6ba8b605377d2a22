"""The server's own totals (`/metrics`, Prometheus text), for versions that tell no request's. Pure.

Of use only while one request is in flight: they are totals over all of them.
"""

import re
from collections.abc import Mapping

from results.records import DraftCounts

PREFIX = "vllm:spec_decode_num_"
_LINE = re.compile(r"^(vllm:spec_decode_num_\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_POSITION = re.compile(r'position="(\d+)"')

Totals = Mapping[tuple[str, int | None], float]
"""(name without prefix, position of a draft where it has one) -> total over all engines of a server."""


def read(text: str) -> Totals:
    """The counters of speculation; empty where the server does not speculate."""
    found: dict[tuple[str, int | None], float] = {}
    for name, labels, value in _LINE.findall(text):
        if not name.endswith("_created"):
            place = _POSITION.search(labels)
            key = (name.removeprefix(PREFIX), int(place[1]) if place else None)
            found[key] = found.get(key, 0.0) + float(value)
    return found


def between(before: Totals, after: Totals, *, always: bool) -> DraftCounts | None:
    """What one request added; None where the server counts nothing. always: see `rounds.counts`."""
    if not after:
        return None

    def added(name: str, place: int | None = None) -> int:
        return int(after.get((name, place), 0.0) - before.get((name, place), 0.0))

    places = sorted(place for name, place in after if name == "accepted_tokens_per_pos" and place is not None)
    return DraftCounts(
        rounds=added("drafts") if always else None,
        drafted=added("draft_tokens"),
        accepted=added("accepted_tokens"),
        per_position=tuple(added("accepted_tokens_per_pos", place) for place in places) or None,
    )
