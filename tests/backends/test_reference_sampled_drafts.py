"""Drafts that are drawn from the drafter's distribution."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from the_demo_pair import ENGINE
from tiny_pairs import make

from backends.reference import Adapter, verdict
from backends.reference.alone import standing
from backends.reference.session import ReferenceSession
from results.ablations import WITHOUT
from results.records import Draft, Request, Sampling

pytestmark = pytest.mark.model
CONFIG = replace(ENGINE, methods=("mtp",), options={"drafts": "sampled"})
SAMPLING = Sampling(0.1)
"""The tiny pair's logits are small: at 1 every token is about as probable as any."""
ROWS, GROUPS = 2000, 10


def test_drafts_without_centroids_are_of_the_whole_vocabulary_and_tokens_the_target_s(tmp_path: Path) -> None:
    """With them they are of the best clusters. Tokens are counted in groups of equal probability, by the drafter's."""
    rows, possible = [tuple(range(200, 212))] * ROWS, {}
    with Adapter().open(make(tmp_path, "edge"), CONFIG) as session:
        assert isinstance(session, ReferenceSession)
        for method in ("mtp", WITHOUT["centroids"]):
            running = session.running(rows, Request(4, Draft(method, 1), SAMPLING))
            with standing(running, rows), torch.inference_mode():
                q = running.draft(running.look()).q
                verified = running.round(None, running.generator(7)).verified
            assert q is not None
            possible[method] = int((q[0, 0] > 0).sum())
            order = q[0, 0].argsort(descending=True)
            p = verdict.probabilities(verified.logits[0, 0], SAMPLING).double()[order]
            p /= p.sum()
            group = ((p.cumsum(0) - p) * GROUPS).long()
            seen = torch.bincount(group[order.argsort()[verified.outcome[:, 0]]], minlength=GROUPS)
            expected = torch.bincount(group, weights=ROWS * p, minlength=GROUPS)
            assert expected.min() > 5
            assert chisquare(seen, expected).pvalue > 1e-4
    assert possible == {"mtp": 128, WITHOUT["centroids"]: 2048}
