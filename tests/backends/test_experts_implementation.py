"""Transformers' ways to compute experts, asked for by name, where an assistant is loaded that has none."""

from dataclasses import replace
from typing import Any

import pytest
from the_demo_pair import ENGINE
from tiny_pairs import make

from backends import reference, transformers
from backends.base import Backend
from results.records import Draft, Pair, Prompt, Request
from workloads.pairs import resolve

pytestmark = pytest.mark.model
PROMPT = Prompt("p", "made", "made", tuple(range(200, 230)), None)
MTP = replace(ENGINE, methods=("mtp",), max_context=64)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("MoE"), "MoE")


@pytest.mark.parametrize("backend", [transformers.Adapter(), reference.Adapter()], ids=["transformers", "reference"])
@pytest.mark.parametrize("source", ["files", "shapes"])
@pytest.mark.parametrize("asked", [None, "grouped_mm", "batched_mm", "eager"])
def test_the_target_computes_its_experts_as_asked(
    backend: Backend, source: str, asked: str | None, files: Pair
) -> None:
    """By default as Transformers chooses: grouped."""
    pair = files if source == "files" else resolve("random:tiny-26B-A4B")
    options: Any = {"experts_implementation": asked} if asked else {}
    with backend.open(pair, replace(MTP, options=options)) as session:
        models: Any = session
        text = models._models.target.config.get_text_config()
        assert text._experts_implementation == (asked or "grouped_mm")
        (row,) = session.generate([PROMPT], Request(4, Draft("mtp", 2), ignore_eos=True))
        assert row.n_tokens == 4
        assert session.facts.statement["attention"] == models._models.target.config._attn_implementation
