"""What the losslessness certificate costs on the demo pair: scoring in prefills, and time to a sharp enough test."""

import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from harness.experiment import measure as measure_sweep
from harness.sweep import Sweep
from results.judge import judge
from results.records import CERTIFICATE, MEASURED
from results.runfile import RunFile
from workloads.pairs import resolve

PROMPTS = 8
PROMPT_TOKENS, OUTPUT_TOKENS = 64, 32
ROUNDS = 5
PREFILLS_LIMIT = 1.0
"""Of one prefill for every generated sequence, what scoring may take."""
BIAS = 0.1
"""Total variation that must be caught in 4 of 5 runs."""
LIMIT_S = 180.0
SAMPLED = "-k 4 --temperature 0.8 --prompts 8 --draws 3 -n 48 -p 32"
"""About 1,100 tokens from rounds."""


def measure(folder: Path) -> bool:
    """Print a line per promise; True if all hold."""
    return all([*(_scoring(folder, dtype) for dtype in ("float32", "bfloat16")), _sampling(folder)])


def _scoring(folder: Path, dtype: str) -> bool:
    """Wall time of all scoring calls over that of a prefill per generated sequence, each of the same length."""
    path = folder / f"greedy-{dtype}.sqlite"
    sweep = Sweep(
        pairs=("demo",),
        workloads=("demo",),
        draft_lengths=(2, 4),
        prompt_tokens=(PROMPT_TOKENS,),
        output_tokens=OUTPUT_TOKENS,
        prompts=PROMPTS,
        dtype=dtype,
        device="cpu",
        threads=1,
        ignore_eos=True,
        speed=False,
    )
    measure_sweep(sweep, path)
    with RunFile.open(path) as file:
        prompts = file.prompts()
        scoring = [trial.wall_ns for _, trial in file.trials(phase=CERTIFICATE) if trial.failure is None]
        calls = [i for i, trial in file.trials() if trial.phase in MEASURED]
        sequences = [
            (prompts[p].token_ids or ()) + (seen.token_ids or ())[:-1] for i in calls for p, seen in file.generations(i)
        ]
        (passes,) = next(file.query("SELECT count(*) FROM score WHERE kind != 'incremental'"))
        verdicts = {cell.equivalence.verdict for cell in judge(file).cells if cell.equivalence}
    prefill = _prefill_ns(dtype, set(sequences))
    ratio = sum(scoring) / (len(sequences) * prefill)
    ok = ratio <= PREFILLS_LIMIT and len(scoring) == PROMPTS
    print(
        f"{'holds' if ok else 'FALLS SHORT':<12} greedy certificate, {dtype}: scoring / a bare prefill per sequence "
        f"{ratio:.2f} (limit {PREFILLS_LIMIT}; {passes} passes for {len(sequences)} sequences, "
        f"{sum(scoring) / 1e9:.2f} s, one prefill {prefill / 1e6:.1f} ms; {', '.join(sorted(verdicts))})"
    )
    return ok


def _prefill_ns(dtype: str, sequences: set[tuple[int, ...]]) -> float:
    """Median wall time of one bare pass over prompt and output, as a prefill runs it: no worker, no pipe, no scores."""
    disable_progress_bar()
    torch.set_num_threads(1)
    target = AutoModelForCausalLM.from_pretrained(resolve("demo").target, dtype=getattr(torch, dtype))
    times = []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for tokens in sorted(sequences):
                start = time.perf_counter_ns()
                target(input_ids=torch.tensor([tokens]), use_cache=True, logits_to_keep=1)
                times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


def _sampling(folder: Path) -> bool:
    """Seconds from the command line to a verdict that would have caught the bias."""
    path = folder / "sampled.sqlite"
    asked = f"verify -m demo -w demo --dtype float32 --device cpu --threads 1 --no-report {SAMPLED} --out".split()
    before, start = _cpu_s(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mtpbench", *asked, str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,  # 1: the sampler of this runtime is biased
    )
    seconds, cpu = time.perf_counter() - start, _cpu_s() - before
    with RunFile.open(path) as file:
        (found,) = [cell.sampling for cell in judge(file).cells if cell.sampling]
    power = found.power_at if found.power_at is not None else math.inf
    ok = power <= BIAS and seconds <= LIMIT_S and found.verdict != "untested"
    print(
        f"{'holds' if ok else 'FALLS SHORT':<12} sampling certificate: would have caught a bias of {power:.3f} "
        f"(limit {BIAS}) after {seconds:.0f} s (limit {LIMIT_S:.0f} s), {cpu:.0f} s of CPU time; "
        f"{found.n:,} tokens of rounds, {found.verdict}"
    )
    return ok


def _cpu_s() -> float:
    """CPU time of all processes that ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
