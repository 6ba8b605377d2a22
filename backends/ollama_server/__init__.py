"""What the adapter over an Ollama server is made of.

    places     options -> which server, which tags, which log, pure
    asking     the body of a request, pure
    log        lines of the server's log -> what was drafted, pure; and where those lines come from
    reading    streamed lines of /api/generate -> one Generation, pure
    session    requests, and what a change of arm costs
    attaching  a server that runs, or one of our own

The official client is not used: it stamps a chunk only after it has validated it, and takes a stream that broke off for
one that ended.
"""
