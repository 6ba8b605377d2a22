"""The simulated run of any size that benches use is one that a real run could have left."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from support.big_run import CATEGORIES, LENGTHS, OUTPUT_TOKENS, PROMPT_TOKENS, write_big_run

from results.judge import judge
from results.store import RunFile
from results.verdicts import as_json

UNITS = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFile]:
    path = tmp_path_factory.mktemp("big") / "run.sqlite"
    written = write_big_run(path, units=UNITS, repeats=2)
    with RunFile.open(path) as file:
        assert [(written.generations, written.rounds)] == list(
            file.query("SELECT (SELECT count(*) FROM generation), (SELECT count(*) FROM round)")
        )
        yield file


def test_it_has_the_arms_blocks_and_categories_of_a_real_run(run: RunFile) -> None:
    assert len(run.cells()) == len(PROMPT_TOKENS) * (2 + len(LENGTHS))
    assert {prompt.category for prompt in run.prompts().values()} == set(CATEGORIES)
    orders = {}
    for _, trial in run.trials():
        orders.setdefault((trial.unit, trial.repeat, trial.phase, trial.half), []).append(trial.cell_id)
    for (unit, repeat, phase, half), order in orders.items():
        if phase == "headline" and half == 0:
            first, second = order[:7], order[7:]
            mirrored = orders[unit, repeat, phase, 1]
            assert mirrored == [*reversed(first), *reversed(second)]


def test_its_generations_keep_the_identities(run: RunFile) -> None:
    for trial_id, trial in run.trials():
        ((_, seen),) = run.generations(trial_id)
        assert seen.n_tokens == OUTPUT_TOKENS == seen.arrivals[-1].tokens
        assert seen.arrivals[-1].ns <= trial.wall_ns
        if seen.rounds is not None:
            assert seen.n_prefill + sum(each.emitted for each in seen.rounds) == seen.n_tokens
            assert all(each.emitted == each.accepted + 1 for each in seen.rounds[:-1])


def test_judgement_finds_in_it_what_was_put_in(run: RunFile) -> None:
    verdict = judge(run)
    assert json.dumps(as_json(verdict), allow_nan=False)
    assert {cell.status for cell in verdict.cells} == {"ok"}
    for cell in verdict.cells:
        assert cell.acceptance is not None and cell.speedup is not None
        shares = [0.35 + 0.3 * (unit % len(CATEGORIES)) / len(CATEGORIES) for unit in range(UNITS)]
        expected = np.mean([sum(share**i for i in range(cell.draft_length + 1)) for share in shares])
        assert cell.acceptance.length == pytest.approx(expected, rel=0.06)
