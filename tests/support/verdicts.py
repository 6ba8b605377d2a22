"""Verdicts for tests of reports and face: figures like those of the demo pair, and every awkward variant of them."""

import math
import random
from dataclasses import replace
from typing import Any

from support.certificates import divergence, equivalence, run_certificate, sampling, untested

from results import selection
from results.expected import StepCosts, Theory, WaterfallStep
from results.verdicts import (
    Acceptance,
    AcceptanceOf,
    ArmTiming,
    Best,
    CellVerdict,
    Interval,
    Percentiles,
    RunVerdict,
    Speedup,
)

SPEEDUPS = (1.36, 1.65, 1.93, 2.02, 2.04, 2.03)
"""Draft length 1 to 6."""
PER_POSITION = (
    (0.84,),
    (0.82, 0.69),
    (0.84, 0.68, 0.59),
    (0.82, 0.68, 0.59, 0.49),
    (0.82, 0.65, 0.56, 0.46, 0.40),
    (0.81, 0.63, 0.53, 0.43, 0.36, 0.31),
)
CATEGORIES = ("source code", "documentation", "docstring", "tables")
PLAIN_TPOT_MS = 7.09
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=alert(1)> [bold red]markup[/] {{ 7*7 }} $x_1$ "
    "\x1b[31mred\x1b[0m\x1b]0;owned\x07 \u202eDESREVER\u202c \u2066iso\u2069 \x00\x9b1m \ud800 & \"quoted' "
    + "long"
    * 500
)
"""HTML, a script, rich markup, a template, mathtext, ANSI and OSC sequences, bidi overrides, a surrogate, length."""


def speedup(k: int, scale: float, seed: int) -> Speedup:
    """A speed-up with 24 units scattered around the demo pair's figure at this draft length."""
    rng = random.Random(seed)
    point = SPEEDUPS[k - 1] * scale
    units = tuple(
        (unit, CATEGORIES[unit % len(CATEGORIES)], point * math.exp(rng.gauss(0, 0.03 + 0.03 * k)))
        for unit in range(24)
    )
    return Speedup(
        point=point,
        these_prompts=Interval(point * 0.985, point * 1.015),
        new_prompts=Interval(point * (0.97 - 0.008 * k), point * (1.03 + 0.008 * k)),
        confidence=0.95,
        launches=1,
        basis="within this launch",
        total_time_ratio=point * 0.99,
        e2e=point * 0.96,
        throughput=point * 0.97,
        per_unit=units,
        adjusted=Interval(point * (0.95 - 0.008 * k), point * (1.05 + 0.008 * k)),
    )


def acceptance(k: int, scale: float = 1.0) -> Acceptance:
    """Acceptance with the demo pair's joint positions, four categories and six stretches of output."""
    joint = tuple(p * scale for p in PER_POSITION[k - 1])
    length = 1 + sum(joint)
    return Acceptance(
        length=length,
        low=length * 0.93,
        high=length * 1.07,
        rate=sum(joint) / k,
        per_position=joint,
        rounds=1920 // (k + 1),
        rounds_left_out=24,
        per_request=Percentiles(length, length * 0.75, length * 0.98, min(k + 1, length * 1.3)),
        by_category={
            name: AcceptanceOf(name, length * f, length * (f - 0.1), length * (f + 0.1), 100 + 10 * i)
            for i, (name, f) in enumerate(zip(CATEGORIES, (0.94, 1.08, 1.01, 0.88), strict=True))
        },
        by_output_position=tuple(
            AcceptanceOf(f"{16 * i}–{16 * i + 15}", length * (0.84 + 0.05 * i), length * (0.78 + 0.05 * i),
                         length * (0.90 + 0.05 * i), 60) for i in range(6)
        ),
    )  # fmt: skip


def theory(k: int, measured: float, length: float) -> Theory:
    """What Leviathan's formula and the generalised one would have said, and where the speed went."""
    alpha = PER_POSITION[0][0]
    steps = (("ideal: acceptance length", length), ("draft cost", length * 0.88), ("wider verification", length * 0.83),
             ("host overhead", measured * 1.04), ("unexplained residual", measured))  # fmt: skip
    return Theory(
        alpha=alpha,
        leviathan=(1 - alpha ** (k + 1)) / ((1 - alpha) * (0.09 * k + 1)),
        predicted=measured * 1.04,
        waterfall=tuple(WaterfallStep(label, value) for label, value in steps),
    )


def _excludes_1(interval: Interval | None) -> bool:
    return interval is not None and not interval.low <= 1 <= interval.high


def cell(k: int = 4, group: int = 0, prompt_tokens: int | None = 64, scale: float = 1.0, **changes: Any) -> CellVerdict:
    """One speculative cell of the demo run; `changes` replace any field."""
    gain = speedup(k, scale, seed=100 * group + k)
    accepted = acceptance(k, min(1.0, scale))
    made = CellVerdict(
        backend="transformers",
        pair="demo",
        method="mtp",
        draft_length=k,
        batch_size=1,
        prompt_tokens=prompt_tokens,
        output_tokens=96,
        temperature=0.0,
        dtype="float32",
        device="cpu",
        status="ok",
        reason="",
        synthetic=False,
        n_prompts=24,
        n_units=24,
        baseline=ArmTiming(tpot_ms=PLAIN_TPOT_MS, ttft_ms=9.4, tokens_per_s=139.2, cpu_over_wall=1.0),
        speculative=ArmTiming(
            tpot_ms=PLAIN_TPOT_MS / gain.point, ttft_ms=10.1, tokens_per_s=139.2 * 0.97 * gain.point, cpu_over_wall=1.0
        ),
        speedup=gain,
        aa=Interval(0.992, 1.011),
        distinguishable=_excludes_1(gain.new_prompts),
        acceptance=accepted,
        equivalence=None,
        sampling=None,
        drafter_memory_bytes=2_680_000,
        distinct_4grams=0.36,
        group=group,
        cell_id=100 * group + k,
        trials=96,
        trials_failed=0,
        trials_flagged=2,
        flags={"foreign-load": 2},
        costs=StepCosts(6.6, 0.45, 7.1, 0.55, 1.1, 1.012),
        theory=theory(k, gain.point, accepted.length),
        stopped="precision reached",
    )
    return replace(made, **changes)


def best_of(cells: list[CellVerdict]) -> list[Best]:
    """The one to name of every group, among cells that may be ranked."""
    found: list[Best] = []
    for group in sorted({c.group for c in cells}):
        mine = [c for c in cells if c.group == group]
        ranked = [c for c in mine if c.status == "ok" and not c.synthetic and c.speedup and not c.not_lossless]
        if ranked:
            gains = [(c.speedup.point, c.speedup.adjusted, c) for c in ranked if c.speedup]
            first = selection.best(gains, lambda each: each[:2], mine[0].aa)
            assert first is not None
            top = first[2]
            assert top.speedup is not None
            sure = bool(top.distinguishable) and _excludes_1(top.speedup.adjusted)
            found.append(Best(group, top.cell_id, top.draft_length, top.method, top.speedup.point, top.speedup.adjusted,
                              len(ranked), sure))  # fmt: skip
    return found


def run_facts(**changes: Any) -> dict[str, Any]:
    """The `run` part of a verdict."""
    facts: dict[str, Any] = {
        "schema_of": "0.1.0",
        "name": "demo",
        "file": "runs/2026-11-23T15-20-00-demo.sqlite",
        "state": "finished",
        "versions": {"transformers": {"torch": "2.13.0", "transformers": "5.22.2", "tokenizers": "0.23.3"}},
        "seed": 0,
        "workload": ["demo"],
        "argv": ["mtpbench", "run"],
        "created_unix_ns": 1_795_447_200_000_000_000,
        "sweep": {"backends": ["transformers"], "pairs": ["demo"], "draft_lengths": [1, 2, 3, 4, 5, 6],
                  "prompt_tokens": [64, 256], "output_tokens": 96, "batch_sizes": [1], "precision": 0.02},
        "provenance": {
            "cpu": {"model": "AMD EPYC 9B14", "architecture": "x86_64", "cores": 2, "threads": 2, "usable": 2,
                    "flags": ["avx2", "avx512f"], "mhz_now": 2596.1, "mhz_highest": None, "governor": None, "smt": True,
                    "numa_nodes": 1},
            "memory": {"total_bytes": 25_276_502_016, "available_bytes": 23_000_000_000, "swap_bytes": 0},
            "gpus": [],
            "system": {"name": "Linux", "release": "6.1.0", "distribution": "Debian GNU/Linux 12 (bookworm)",
                       "virtualised": True, "container": False},
            "python": {"version": "3.11.2", "implementation": "CPython"},
            "packages": {"mtpbench": "0.1.0", "numpy": "2.4.1"},
            "git": {"project": {"commit": "4365d2ee47934774e71785c66a9917a0d7a97936", "dirty": False}, "folder": None},
            "environment": {"OMP_NUM_THREADS": "1"},
            "load_average": [0.12, 0.2, 0.3],
            "machine": "9f2c5d3a1b7e4c60",
        },
        "trials": 1344, "trials_failed": 0, "trials_flagged": 24,
    }  # fmt: skip
    return facts | changes


def verdict(cells: list[CellVerdict], *, warnings: list[str] | None = None, **facts: Any) -> RunVerdict:
    """A run of these cells."""
    return RunVerdict(
        run=run_facts(**facts),
        cells=cells,
        best=best_of(cells),
        warnings=warnings or [],
        certificate=run_certificate(cells),
    )


def demo() -> RunVerdict:
    """Two prompt lengths, draft lengths 1 to 6, all well."""
    settings = ((0, 64, 1.0), (1, 256, 0.93))
    loops = "transformers demo, {} prompt tokens: the output loops (as little as 36% of its 4-grams differ)"
    return verdict(
        [cell(k, group, prompt, scale) for group, prompt, scale in settings for k in range(1, 7)],
        warnings=[loops.format(prompt) for _, prompt, _ in settings],
    )


def one_cell(**changes: Any) -> RunVerdict:
    """A single draft length at a single prompt length."""
    return verdict([cell(4, **changes)])


def indistinguishable() -> RunVerdict:
    """Nothing differs from plain decoding."""
    return verdict([cell(k, scale=1.01 / SPEEDUPS[k - 1], distinguishable=False, aa=Interval(0.95, 1.06))
                    for k in (1, 2, 3)])  # fmt: skip


def slower() -> RunVerdict:
    """Speculation costs time at every draft length."""
    return verdict([cell(k, scale=(0.95 - 0.05 * k) / SPEEDUPS[k - 1]) for k in (1, 2, 3)])


def missing_intervals() -> RunVerdict:
    """Too little data for any interval, and nothing revealed beyond the point."""
    bare = Speedup(1.5, None, None, 0.95, 1, "within this launch", None, None, None)
    thin = replace(acceptance(2), low=None, high=None, per_request=None, by_category={}, by_output_position=())
    return verdict([cell(2, speedup=bare, acceptance=thin, aa=None, distinguishable=None, theory=None, costs=None,
                         drafter_memory_bytes=None, distinct_4grams=None, n_units=1, n_prompts=1)])  # fmt: skip


def troubled() -> RunVerdict:
    """One cell of every status, and a synthetic one."""
    missing = ("baseline", "speculative", "speedup", "aa", "distinguishable", "acceptance", "theory", "costs")
    nothing: dict[str, Any] = dict.fromkeys((*missing, "distinct_4grams")) | {"n_units": 0}
    return verdict(
        [
            cell(1),
            cell(2, status="invalid", reason="drafted is 0 in 24 of 24 generations: the drafter is idle"),
            cell(3, status="unverified", reason="the runtime reveals no rounds", acceptance=None, theory=None),
            cell(4, status="imported", reason="from a benchmark CSV", acceptance=None, theory=None, aa=None,
                 distinguishable=None),
            cell(5, status="failed", reason="crash: the worker was killed by signal 9", trials_failed=96, **nothing),
            cell(6, status="skipped", reason="this runtime's draft length is fixed at 4", **(nothing | {"trials": 0})),
            cell(1, group=1, prompt_tokens=256, synthetic=True),
            cell(2, group=1, prompt_tokens=256, synthetic=True, distinguishable=False),
        ],
        warnings=["foreign load on 24 trials: close other programs and measure again"],
        state="interrupted",
        trials_failed=96,
    )  # fmt: skip


def six_backends() -> RunVerdict:
    """Six runtimes, one of them slower with drafts; none shows where its time goes."""
    scales = {"transformers": 1.0, "llamacpp": 0.46, "mlx": 0.68, "vllm": 1.18, "litert": 0.62, "sglang": 1.1}
    hidden: dict[str, Any] = {"theory": None, "costs": None}
    return verdict(
        [
            cell(k, group, 64, scale, backend=name, **hidden)
            for group, (name, scale) in enumerate(scales.items())
            for k in (1, 2, 4, 6)
        ]
    )


def hostile() -> RunVerdict:
    """Every text field of a stranger's file is an attack."""
    bad = acceptance(4)
    bad = replace(bad, by_category={HOSTILE: AcceptanceOf(HOSTILE, 2.0, 1.5, 2.5, 40)},
                  by_output_position=(AcceptanceOf(HOSTILE, 2.0, 1.5, 2.5, 40),))  # fmt: skip
    changes: dict[str, Any] = {
        "backend": HOSTILE, "pair": HOSTILE, "method": HOSTILE, "dtype": HOSTILE, "device": HOSTILE, "stopped": HOSTILE,
        "flags": {HOSTILE: 3}, "acceptance": bad, "reason": HOSTILE,
        "sampling": sampling("biased", reason=HOSTILE),
        "equivalence": equivalence(unexplained=1, reason=HOSTILE, divergences=(divergence(
            "unexplained", prompt=HOSTILE, category=HOSTILE, reason=HOSTILE, before="\u05d0" * 400_000 + HOSTILE,
            plain_text=HOSTILE, speculative_text="\u202e</pre></details>" + HOSTILE),)),
        "theory": replace(theory(4, 2.02, 3.58), waterfall=(WaterfallStep(HOSTILE, 3.0), WaterfallStep(HOSTILE, 2.0))),
    }  # fmt: skip
    return verdict(
        [cell(4, **changes), cell(5, **changes | {"status": "invalid"})],
        warnings=[HOSTILE],
        name=HOSTILE,
        file=HOSTILE,
        provenance={HOSTILE: {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}},
        versions={HOSTILE: {"torch": HOSTILE, HOSTILE: HOSTILE}},
        sweep={HOSTILE: HOSTILE},
        argv=[HOSTILE],
    )


def certified() -> RunVerdict:
    """Identical at every k where greedy, not distinguishable where sampled."""
    greedy = [cell(k, equivalence=equivalence()) for k in (1, 2, 4)]
    return verdict([*greedy, *(cell(k, 1, temperature=1.0, sampling=sampling()) for k in (2, 4))])


def diverged() -> RunVerdict:
    """bfloat16: ties and batch numerics, every one of them explained."""
    found = (equivalence(ties=1), equivalence(ties=2, batch=1), equivalence(ties=3, batch=2))
    return verdict([cell(k, dtype="bfloat16", equivalence=e) for k, e in zip((1, 2, 4), found, strict=True)])


def broken() -> RunVerdict:
    """The fastest settings give another text than the target's own, greedy and sampled."""
    greedy = [cell(1, equivalence=equivalence()), cell(2, equivalence=equivalence(ties=1)),
              cell(4, equivalence=equivalence(ties=1, unexplained=5))]  # fmt: skip
    sampled = [cell(k, 1, temperature=1.0, sampling=sampling("biased")) for k in (2, 4)]
    return verdict([*greedy, *sampled])


NO_SPEED: dict[str, Any] = dict.fromkeys(
    ("baseline", "speculative", "speedup", "aa", "distinguishable", "theory", "costs", "distinct_4grams")
) | {"n_units": 0, "n_prompts": 0}
"""What a cell of `mtpbench verify` does not have."""


def verified(cells: list[CellVerdict] | None = None) -> RunVerdict:
    """`mtpbench verify`: certificates and no speed."""
    found = cells or [cell(k, equivalence=equivalence(), **NO_SPEED) for k in (1, 2, 4)]
    return verdict(found, sweep=run_facts()["sweep"] | {"speed": False})


def refuted() -> RunVerdict:
    """`mtpbench verify` on a broken engine."""
    return verified(
        [
            cell(1, equivalence=equivalence(ties=1, batch=1), **NO_SPEED),
            cell(2, equivalence=untested(), **NO_SPEED),
            cell(4, equivalence=equivalence(ties=1, unexplained=5), **NO_SPEED),
            cell(4, 1, temperature=0.7, sampling=sampling("biased", impossible=3), **NO_SPEED),
        ]
    )


def empty() -> RunVerdict:
    """A run that was stopped before anything was measured."""
    return verdict([], state="interrupted", trials=0, trials_flagged=0)


ALL = {f.__name__: f for f in (demo, one_cell, indistinguishable, slower, missing_intervals, troubled, six_backends,
                               certified, diverged, broken, verified, refuted, hostile, empty)}  # fmt: skip
"""Every variant by name, for parametrised tests."""
