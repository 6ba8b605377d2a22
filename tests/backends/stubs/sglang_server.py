"""A STUB of `sglang serve`: SGLang's flags, endpoints and response shapes (captured from 0.5.23) over real tokens.

A program of its own, so that the adapter's launching is tried too; the tokens and rounds come from a real engine, the
demo pair through Transformers, which the test holds in its own process (`engine`, whose URL stands in the environment).
What it cannot show: SGLang's times, numerics, acceptance, and whether a real version takes these flags.

    MTPBENCH_STUB_ENGINE    URL of the engine
    MTPBENCH_STUB_VERSION   whose key names to use
    MTPBENCH_STUB_FAULT     crash | idle | abort | sick | no-drafts: what goes wrong
"""

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from stubs.http_server import DONE, Answer, event, serving

VERSION = os.environ.get("MTPBENCH_STUB_VERSION", "0.5.23")
FAULT = os.environ.get("MTPBENCH_STUB_FAULT", "")
CALLED = {"NEXTN": "FROZEN_KV_MTP"}
"""What an algorithm becomes with a Gemma 4 assistant."""


def parser() -> argparse.ArgumentParser:
    """SGLang's, as far as the adapter uses it; unknown flags end it, as they end SGLang."""
    known = argparse.ArgumentParser(prog="sglang serve", allow_abbrev=True)
    known.add_argument("--model-path", required=True)
    for name in ("host", "served-model-name", "dtype", "device", "attention-backend", "speculative-draft-model-path"):
        known.add_argument(f"--{name}")
    known.add_argument("--speculative-algorithm", choices=["EAGLE", "EAGLE3", "NEXTN", "STANDALONE", "NGRAM"])
    for name in ("port", "stream-interval", "random-seed", "base-gpu-id", "tp-size"):
        known.add_argument(f"--{name}", type=int)
    for name in ("num-steps", "eagle-topk", "num-draft-tokens", "ngram-min-bfs-breadth", "ngram-max-bfs-breadth"):
        known.add_argument(f"--speculative-{name}", type=int)
    known.add_argument("--mem-fraction-static", type=float)
    for name in ("enable-metrics", "incremental-streaming-output", "enable-deterministic-inference"):
        known.add_argument(f"--{name}", action="store_true")
    return known


def keys(version: str) -> tuple[str, ...]:
    """Names of (proposed, accepted, histogram) in that version."""
    minor = int(version.split(".")[2])
    if minor <= 10:
        return "spec_draft_token_num", "spec_accept_token_num", "spec_accept_histogram"
    if minor <= 20:
        return "spec_proposed_drafts", "spec_accepted_drafts", "spec_accept_histogram"
    return "spec_num_proposed_drafts", "spec_num_correct_drafts", "spec_correct_drafts_histogram"


def counted(rounds: list[list[int]], tokens: int, width: int) -> dict[str, Any]:
    """`meta_info`'s account of rounds [drafted, accepted, emitted]. SGLang leaves all of it out where there is none."""
    if not rounds or FAULT == "idle":
        return {}
    proposed, accepted, histogram = keys(VERSION)
    drafted = len(rounds) * (width - 1)  # SGLang verifies the whole width even where the length limit leaves no room
    by_accepted = [sum(a == i for _, a, _ in rounds) for i in range(width)]
    while len(by_accepted) > 1 and not by_accepted[-1]:
        by_accepted.pop()
    return {
        "spec_accept_rate": sum(a for _, a, _ in rounds) / drafted,
        "spec_accept_length": tokens / len(rounds),  # the prefill's token is counted as a round's
        accepted: sum(a for _, a, _ in rounds),
        proposed: drafted,
        "spec_verify_ct": len(rounds),
        histogram: by_accepted,
    }


class Stub:
    """One server."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.k = given.speculative_num_steps if given.speculative_algorithm else None
        self.started = time.monotonic()

    def health(self, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        return (503, "") if FAULT == "sick" or time.monotonic() < self.started + 0.1 else (200, "")

    def info(self, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        algorithm = None if FAULT == "no-drafts" else self.given.speculative_algorithm
        state = {
            "device": "cpu",
            "dtype": self.given.dtype,
            "speculative_algorithm": CALLED.get(algorithm, algorithm),
            "speculative_num_steps": self.given.speculative_num_steps,
            "speculative_eagle_topk": self.given.speculative_eagle_topk,
            "speculative_num_draft_tokens": self.given.speculative_num_draft_tokens,
        }
        return 200, {"internal_states": [state], **state, "version": VERSION}

    def generate(self, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        if FAULT == "crash":
            print("Fatal Python error: Segmentation fault", file=sys.stderr, flush=True)
            os.abort()
        sampling = body["sampling_params"]
        k = None if FAULT == "idle" else self.k
        asked = {"ids": body["input_ids"], "k": k, "n": sampling["max_new_tokens"], "on": sampling["ignore_eos"]}
        request = urllib.request.Request(f"{os.environ['MTPBENCH_STUB_ENGINE']}/decode", json.dumps(asked).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            return self.pieces(json.load(answer), len(body["input_ids"]))

    def pieces(self, seen: dict[str, Any], prompt_tokens: int) -> Iterator[str]:
        ids, rounds = seen["ids"], seen["rounds"]
        steps = [e for _, _, e in rounds] if rounds else [1] * (len(ids) - seen["prefill"])
        done, before, text = seen["prefill"], 0, ""
        ends = [done, *(done := done + step for step in steps if step)]
        for number, end in enumerate(ends):
            new = "" if end < len(ids) else seen["text"]
            text += new
            last = number == len(ends) - 1
            reason = {"type": "length", "length": len(ids)} if seen["length"] else {"type": "stop", "matched": ids[-1]}
            if FAULT == "abort":
                reason = {"type": "abort", "message": "out of KV cache"}
            meta = {
                "id": "stub",
                "finish_reason": reason if last else None,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": end,
                "cached_tokens": 0,
                **(counted(rounds, len(ids), (self.k or 0) + 1) if last else {}),
            }
            incremental = self.given.incremental_streaming_output
            shown = (new, ids[before:end]) if incremental else (text, ids[:end])
            yield event({"text": shown[0], "output_ids": shown[1], "meta_info": meta})
            before = end
        yield DONE


def main(arguments: list[str]) -> None:
    assert arguments[0] == "serve", arguments
    stub = Stub(parser().parse_args(arguments[1:]))
    print("The server is fired up (a stub of SGLang)", flush=True)
    routes = {
        "GET /health": stub.health,
        "GET /server_info": stub.info,
        "POST /flush_cache": lambda headers, body: (200, "Cache flushed."),
        "POST /generate": stub.generate,
    }
    with serving(routes, stub.given.port):
        time.sleep(3600)


@contextmanager
def engine(session: Any) -> Iterator[str]:
    """The real engine behind all stubs: `session` decodes; gives the URL for the environment."""
    import threading

    from results.records import Draft, Prompt, Request

    one_at_a_time = threading.Lock()

    def decode(headers: Mapping[str, str], asked: dict[str, Any]) -> Answer:
        draft = None if asked["k"] is None else Draft("mtp", asked["k"])
        prompt = Prompt("p", "w", "c", tuple(asked["ids"]), None)
        with one_at_a_time:
            (seen,) = session.generate(
                [prompt], Request(asked["n"], draft, ignore_eos=asked["on"], capture="rounds" if draft else "timing")
            )
        return 200, {
            "ids": seen.token_ids,
            "text": seen.text,
            "prefill": seen.n_prefill,
            "rounds": [[r.drafted, r.accepted, r.emitted] for r in seen.rounds or ()],
            "length": seen.finish_reason == "length",
        }

    with serving({"POST /decode": decode}) as url:
        yield url


if __name__ == "__main__":
    main(sys.argv[1:])
