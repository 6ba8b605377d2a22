"""llama.cpp asked for tokens and their log-probabilities: run as a script by a Python that has xllamacpp.

Standard input: a JSON object with `target`, `drafter` (null: plain), `k`, `prompts` (lists of ids), `new` (tokens),
`shown` (the likeliest tokens to report at each position, 0: none), `out`. The file `out` gets one JSON object per
prompt: `tokens`, `drafted`, `accepted`, and with `shown` the lists `ids` and `logprobs`, one row per token.

A process of its own, because llama.cpp aborts over a wrong file. Everything that rounds more than it must is off:
flash attention, and the K/V cache's default float16.
"""

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import xllamacpp

CONTEXT = 2048
ANSWER_S = 300


def started(job: Mapping[str, Any]) -> Any:
    """A server with the job's files, one thread and one slot."""
    params = xllamacpp.CommonParams()
    params.model.path, params.hostnames, params.port = job["target"], ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = CONTEXT, 1, 1
    params.warmup = params.fit_params = params.ui = False
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    if job["drafter"] is not None:
        drafting = params.speculative.draft
        drafting.mparams.path, drafting.n_max, drafting.n_min, drafting.p_min = job["drafter"], job["k"], 0, 0.0
        drafting.cache_type_k = drafting.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP]
    return xllamacpp.Server(params)


def answer(url: str, prompt: Sequence[int], job: Mapping[str, Any]) -> dict[str, Any]:
    """What it makes of one prompt, greedily."""
    body = {
        **{"prompt": prompt, "n_predict": job["new"], "n_probs": job["shown"], "return_tokens": True},
        **{"samplers": ["top_k", "temperature"], "temperature": 0.0, "top_k": 1, "cache_prompt": False},
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/completion", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=ANSWER_S) as response:
        seen = json.load(response)
    found = {
        "tokens": seen["tokens"],
        "drafted": seen["timings"].get("draft_n", 0),  # absent where nothing was drafted
        "accepted": seen["timings"].get("draft_n_accepted", 0),
    }
    if job["shown"]:
        rows = [position["top_logprobs"] for position in seen["completion_probabilities"]]
        found["ids"] = [[entry["id"] for entry in row] for row in rows]
        found["logprobs"] = [[entry["logprob"] for entry in row] for row in rows]
    return found


def main() -> None:
    """One job, then the end of the process."""
    job = json.load(sys.stdin)
    server = started(job)
    with open(job["out"], "w", encoding="utf-8") as out:
        out.writelines(json.dumps(answer(server.listening_address, prompt, job)) + "\n" for prompt in job["prompts"])


if __name__ == "__main__":
    main()
