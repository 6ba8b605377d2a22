"""A batch of a server: N requests in flight at once, one thread each.

Every request has its own clock, from when it was itself sent. All are sent together and none follows when one ends, so
the last of them run with fewer beside them; a steady state is the caller's business.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def together(ask: Callable[[Asked], Answer], items: Sequence[Asked]) -> list[Answer]:
    """`ask` for every item at once; answers in the items' order. One item is asked in the calling thread.

    Waits for all of them; then the first failure in the items' order is raised.
    """
    if not items:
        return []
    if len(items) == 1:
        return [ask(items[0])]
    start = threading.Barrier(len(items))

    def one(item: Asked) -> Answer:
        start.wait()
        return ask(item)

    with ThreadPoolExecutor(len(items), thread_name_prefix="request") as pool:
        futures = [pool.submit(one, item) for item in items]
    return [future.result() for future in futures]
