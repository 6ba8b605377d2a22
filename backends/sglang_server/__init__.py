"""What the adapter over `sglang serve` is made of.

    versions   which SGLang there is, and what that version can do, pure
    flags      pair + engine -> arguments of `sglang serve`, pure
    counts     SGLang's own counts -> DraftCounts, pure
    reading    streamed events of /generate -> one Generation, pure
    model      what the target's folder says: tokens, context
    launching  a server for an arm, checked to be what was asked for
    session    requests

Nothing here imports SGLang itself: it runs as its users run it, in a process of its own.
"""
