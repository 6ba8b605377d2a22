"""Cells and runs that published statements are about, and what is said to a statement."""

from dataclasses import replace
from typing import Any

from support.verdicts import cell, speedup, verdict

from results.statements.claims import Checked, check
from results.statements.published import Claim
from results.verdicts import CellVerdict, Interval, RunVerdict

H100 = {"gpus": [{"name": "NVIDIA H100 80GB HBM3"}], "cpu": {"model": "Intel Xeon 8480"}}
SCOPE: dict[str, Any] = {"pairs": ["gemma-4-31B"], "runtimes": ["vllm"], "hardware": ["H100"], "batch": 1,
                         "draft_length": 4}  # fmt: skip


def measured(low: float, high: float, k: int = 4, **changes: Any) -> CellVerdict:
    """A cell of Gemma 4 31B in vLLM on a GPU whose speed-up has this interval."""
    point = (low * high) ** 0.5
    gain = replace(speedup(k, 1.0, seed=k), point=point, new_prompts=Interval(low, high), adjusted=Interval(low, high))
    known: dict[str, Any] = {"backend": "vllm", "pair": "gemma-4-31B", "device": "cuda:0", "dtype": "bfloat16"}
    return cell(k, **(known | {"speedup": gain, "distinguishable": not low <= 1 <= high} | changes))


def run_of(*cells: CellVerdict, provenance: dict[str, Any] = H100, **facts: Any) -> RunVerdict:
    return verdict(list(cells), provenance=provenance, **facts)


def claim(statement: dict[str, Any], **scope: Any) -> Claim:
    known = {"id": "one", "source": "someone", "words": "so much", **SCOPE, **scope, "statements": [statement]}
    return Claim.model_validate(known)


def checked(run: RunVerdict, statement: dict[str, Any], **scope: Any) -> Checked:
    (found,) = check(run, [claim(statement, **scope)]).checked
    return found
