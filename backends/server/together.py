"""A batch of a server: N requests in flight, one thread each.

Every request has its own clock, from when it was itself sent. In a closed loop the next is sent as one ends, so that N
are in flight until none is left to send; which of them then count is for whoever judges (`results.metrics.steady`).
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from results.records import Request

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def at_once(request: Request, items: Sequence[object]) -> int:
    """How many of these are decoded side by side."""
    return min(len(items), request.in_flight or len(items))


def together(ask: Callable[[Asked, Request], Answer], items: Sequence[Asked], request: Request) -> list[Answer]:
    """`ask` for every item, in their order, as many at a time as are to be in flight; answers in the items' order.

    ask: of an item, and what is asked of it alone. One item is asked in the calling thread. Waits for all; then the
    first failure in their order is raised.
    """
    if len(items) == 1:
        return [ask(items[0], request.of(0))]
    slots = at_once(request, items)
    start = threading.Barrier(max(slots, 1))

    def one(place: int) -> Answer:
        if place < slots:
            start.wait()
        return ask(items[place], request.of(place))

    with ThreadPoolExecutor(max(slots, 1), thread_name_prefix="request") as pool:
        futures = [pool.submit(one, place) for place in range(len(items))]
    return [future.result() for future in futures]
