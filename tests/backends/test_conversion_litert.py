"""The shipped LiteRT-LM bundle says what Transformers says from the folders: its conversion, seen from outside."""

import json

import pytest
import torch
from hosted import hosted, needs
from the_demo_pair import DEMO
from the_litert_bundle import ENGINE, PAIR
from tokenizers import Tokenizer

from results.records import Prompt, Request
from workloads.training.generate import continue_
from workloads.training.models import load_target

pytestmark = [pytest.mark.model, needs("litert")]

BOS = 2
NEW = 96


def test_the_bundle_s_greedy_texts_are_transformers_own() -> None:
    """To the last token but one: the engine keeps back a last token that may go on."""
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in (DEMO / "prompts.jsonl").read_text().splitlines()]
    ids = torch.tensor([[BOS, *line["prompt_ids"]] for line in lines])
    wanted = continue_(load_target(DEMO / "target"), ids, NEW)[:, ids.shape[1] :].tolist()
    tokenizer = Tokenizer.from_file(str(DEMO / "target" / "tokenizer.json"))
    with hosted("litert", PAIR, ENGINE) as session:
        for number, (line, tokens) in enumerate(zip(lines, wanted, strict=True)):
            (seen,) = session.generate([Prompt(str(number), "demo", "coding", None, line["text"])], Request(NEW))
            whole, most = (tokenizer.decode(tokens[:end], skip_special_tokens=False) for end in (NEW, NEW - 1))
            assert seen.text in (whole, most), number
