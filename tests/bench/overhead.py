"""What measuring costs: TPOT through mtpbench's worker code against a bare loop over the same `generate`."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import stdtrit
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from backends import protocol
from backends.hf.watching import Arrivals
from backends.worker import Host
from results.metrics import timing
from results.records import Arrival, Draft, EngineConfig, Generation, Prompt, Request
from workloads.pairs import resolve
from workloads.prompts import load

UNITS = 30
TOKENS = 48
PROMPT_TOKENS = 64
LIMITS = {"timing": 1.01, "rounds": 1.03}
"""The low end of the interval above this falls short."""

Run = Callable[[Prompt], float]
"""One generation; gives its TPOT."""


def measure() -> bool:
    """Print a line per draft length and pass; True if none falls short."""
    pair = resolve("demo")
    host = Host("transformers")
    host.answer(protocol.Open(pair, EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",))))
    disable_progress_bar()
    target = AutoModelForCausalLM.from_pretrained(pair.target, dtype=torch.float32)
    assistant = AutoModelForCausalLM.from_pretrained(pair.assistant, dtype=torch.float32)
    prompts = _prompts(host)
    held = True
    for length in (0, 4):
        bare = _bare(target, assistant, length)
        for capture, limit in LIMITS.items():
            request = Request(TOKENS, Draft("mtp", length) if length else None, ignore_eos=True, capture=capture)
            ratio, low, high = _compare(_through(host, request), bare, prompts)
            ok = low <= limit
            held &= ok
            arm = f"k={length}" if length else "plain"
            print(
                f"{'holds' if ok else 'FALLS SHORT':<12} TPOT {capture:<7} {arm:<6} / bare loop "
                f"{ratio:.4f} [{low:.4f}, {high:.4f}] (limit {limit}; {len(prompts)} prompts, ABBA)"
            )
    host.answer(protocol.Close())
    return held


def _prompts(host: Host) -> list[Prompt]:
    sources = load("demo", limit=UNITS)
    encoded = host.answer(protocol.Encode(tuple(source.text for source in sources), chat=False, thinking=False))
    return [
        Prompt(source.key, "demo", source.category, tokens.content[:PROMPT_TOKENS], None)
        for source, tokens in zip(sources, encoded, strict=True)
    ]


def _through(host: Host, request: Request) -> Run:
    def run(prompt: Prompt) -> float:
        generated = host.answer(protocol.Generate((prompt,), request))
        return _tpot(generated.generations[0])

    return run


def _bare(target: torch.nn.Module, assistant: torch.nn.Module, length: int) -> Run:
    config = GenerationConfig(max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)
    more = {"assistant_model": assistant} if length else {}
    assistant.generation_config.num_assistant_tokens = length or 1
    assistant.generation_config.num_assistant_tokens_schedule = "constant"
    target.generation_config = GenerationConfig()

    def run(prompt: Prompt) -> float:
        streamer = Arrivals()
        ids = torch.tensor([prompt.token_ids])
        target.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            streamer=streamer,
            **more,
        )
        counts = [int(n) for n in np.cumsum([len(chunk) for chunk in streamer.of_row(0)])]
        arrivals = [Arrival(t - streamer.times[0], n) for t, n in zip(streamer.times[1:], counts, strict=True)]
        tokens = [token for chunk in streamer.of_row(0) for token in chunk]
        return _tpot(Generation(len(tokens), tuple(tokens), None, tuple(arrivals)))

    return run


def _tpot(generation: Generation) -> float:
    timed = timing([generation], eos=())
    assert timed is not None and timed.tpot_ns is not None
    return timed.tpot_ns


def _compare(ours: Run, bare: Run, prompts: Sequence[Prompt]) -> tuple[float, float, float]:
    """Geometric mean of ours / bare over prompts, each prompt in the order ABBA, with its 95 % t interval."""
    for run in (ours, bare):
        run(prompts[0])
    logs = []
    for prompt in prompts:
        a1, b1, b2, a2 = ours(prompt), bare(prompt), bare(prompt), ours(prompt)
        logs.append(math.log(a1 * a2 / (b1 * b2)) / 2)
    mean, error = float(np.mean(logs)), float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    half = float(stdtrit(len(logs) - 1, 0.975)) * error
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
