"""From the token ids of streamed events to `Arrival`s, whether a runtime sends what is new or all so far."""

from collections.abc import Sequence

from results.records import Arrival


class Timeline:
    """The tokens of one answer and when they came.

    The first event that brings tokens is not the prefill's alone: a busy server sends the first round with it. Events
    without a token (a keep-alive, a role, a final statement) make no arrival.
    """

    def __init__(self, sent: int) -> None:
        """sent: `time.perf_counter_ns` when the request was sent."""
        self._sent = sent
        self.ids: list[int] = []
        self._arrivals: list[Arrival] = []

    def add(self, ns: int, new: Sequence[int]) -> None:
        """An event at `ns` (`time.perf_counter_ns`) that brought the tokens `new`."""
        if new:
            self.ids.extend(new)
            self._arrivals.append(Arrival(ns - self._sent, len(self.ids)))

    def reach(self, ns: int, all_so_far: Sequence[int]) -> None:
        """An event that carries all tokens so far. Raises RuntimeError where it takes back what came before."""
        if list(all_so_far[: len(self.ids)]) != self.ids:
            raise RuntimeError(f"the stream changed tokens that it had already sent: {self.ids}, then {all_so_far}")
        self.add(ns, all_so_far[len(self.ids) :])

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        return tuple(self._arrivals)
