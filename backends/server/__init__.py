"""What every HTTP-server runtime shares: a process, its port, its streams, and requests side by side.

    process.started     a server of our own, from first byte of output to last process of its family
    http.client         the one way to talk to it; http.events  a streamed answer, every event with its time
    stream              bytes -> events, pure
    timeline.Timeline   token ids per event -> arrivals
    together.together   N requests in flight at once

Only an adapter's `open` may import these modules' users: httpx lives in a runtime's environment, not in every worker.
"""
