"""From the chunks of a streamed text to `Arrival`s, where the server may not say how many tokens each chunk brings."""

from results.records import Arrival


class Chunks:
    """When pieces of one answer came, and how many tokens there were by then, as far as the server told.

    Where it does not tell, only two counts are known: the first chunk brings the prefill's token, and the last one
    completes what the server says in the end. In between each chunk is counted as one token, the fewest it can bring:
    times of chunks are exact, counts between first and last are lower bounds. What is derived from both ends (TTFT,
    TPOT, E2E) does not use them, and a plain arm whose tokens come in bursts still shows as one.
    """

    def __init__(self, sent: int) -> None:
        """sent: `time.perf_counter_ns` when the request was sent."""
        self._sent = sent
        self._times: list[int] = []
        self._counts: list[int] = []
        self.counted = True
        """Every chunk came with the server's own count."""

    def add(self, ns: int, text: str, tokens: int | None) -> None:
        """A chunk at `ns` (`time.perf_counter_ns`).

        tokens: all so far, by the server's count; None: not told. A chunk that brings nothing new is none.
        """
        before = self._counts[-1] if self._counts else 0
        if tokens is None and text:
            self.counted = False
            tokens = before + 1
        if tokens is None or not (self.counted or text):  # a count that comes after the text is told in the end
            return
        if tokens > before:
            self._times.append(ns - self._sent)
            self._counts.append(tokens)

    def arrivals(self, n_tokens: int) -> tuple[Arrival, ...]:
        """n_tokens: of the whole answer. Raises RuntimeError where that is fewer than arrived by the server's count."""
        if not self._times:
            return ()
        if self.counted and self._counts[-1] > n_tokens:
            raise RuntimeError(f"the server streamed {self._counts[-1]} tokens and then speaks of {n_tokens}")
        before_last = max(1, n_tokens - 1)  # the last chunk is to keep its time, however many came
        counts = [*(min(count, before_last) for count in self._counts[:-1]), n_tokens]
        return tuple(Arrival(ns, tokens) for ns, tokens in zip(self._times, counts, strict=True))
