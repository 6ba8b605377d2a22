"""What the suite stands on: runs that differ, draws that are shared as said, a process left out and nothing else."""

from collections import Counter
from pathlib import Path

import pytest
from support.broken import page, runs
from support.broken.catalogue import EVERY, Entry
from support.broken.inprocess import hosted
from support.broken.session import Engine, Remembering
from support.broken.suite import RUNS, Counted, count

from harness.experiment import measure
from harness.sweep import Sweep
from results.records import Draft, Prompt, Request, Sampling
from results.runfile import RunFile

BY_NAME = {entry.name: entry for entry in EVERY}


@pytest.mark.parametrize("size", [runs.GREEDY, runs.SAMPLED])
def test_no_two_runs_take_the_same_prompts(size: runs.Size) -> None:
    taken = [runs.chosen(size, number) for number in range(RUNS)]
    assert {len(set(each)) for each in taken} == {size.prompts}
    assert len({frozenset(each) for each in taken}) == RUNS
    assert {i for each in taken for i in each} == set(range(size.pool))


@pytest.mark.model
def test_a_prompt_has_as_many_draws_as_the_pool_and_prompts_share_no_chances(
    real: Remembering, prompts: list[Prompt]
) -> None:
    pooled = Remembering(real.engine, draws=2)

    def drawn(prompt: Prompt, draft: Draft | None) -> list[tuple[int, ...] | None]:
        asked = [Request(12, draft, Sampling(1.0, seed=seed)) for seed in (0, 1, 2, 3)]
        return [pooled.generate([prompt], request)[0].token_ids for request in asked]

    first, other, third, fourth = drawn(prompts[0], None)
    assert (first, other) == (third, fourth)
    assert first != other
    assert len(pooled._generations) == 2
    drafted = drawn(prompts[0], Draft("mtp", 2))
    assert len(pooled._generations) == 4
    seeds = {request.sampling.seed for *_, request in pooled._generations}  # type: ignore[attr-defined]
    assert len(seeds) == 4
    assert drafted[:2] == drafted[2:]


@pytest.mark.model
def test_without_a_process_the_harness_stores_the_same(real: Remembering, tmp_path: Path) -> None:
    texts = runs.write_texts(tmp_path, runs.Size(prompts=2, pool=2))
    sweep = Sweep(
        pairs=("demo",), workloads=tuple(map(str, texts)), draft_lengths=(2,), prompt_tokens=(24,), output_tokens=10,
        prompts=2, repeats=1, speed=False, dtype="float32", device="cpu", threads=1,
    )  # fmt: skip
    with hosted(Engine(real)):
        measure(sweep, tmp_path / "inside.sqlite")
    measure(sweep, tmp_path / "outside.sqlite")
    inside, outside = (_stored(tmp_path / f"{name}.sqlite") for name in ("inside", "outside"))
    assert len(inside) == 2 * 3  # plain, control and k = 2 on two prompts
    assert inside == [row for row in outside if row[0] != "batch-shape"]


def _stored(path: Path) -> list[tuple[object, ...]]:
    """Role, output and drafts of every generation."""
    query = (
        "SELECT role, unit, token_ids, (SELECT group_concat(drafted || ':' || accepted || ':' || emitted) FROM round "
        "WHERE generation_id = generation.id), (SELECT count(*) FROM score WHERE generation_id = generation.id) "
        "FROM cell JOIN trial ON cell_id = cell.id JOIN generation ON trial_id = trial.id ORDER BY role, unit"
    )
    with RunFile.open(path) as file:
        return [tuple(row) for row in file.query(query)]


# ----------------------------------------------------------------------------------------------- counts and page


def counted(entry: Entry, *flags: set[str]) -> Counted:
    return count(entry, [runs.Found(frozenset(each), certified=not each, tested=8) for each in flags])


def test_a_run_is_caught_once_however_many_checks_flag_it() -> None:
    found = counted(BY_NAME["drafter loaded but idle"], {"idle", "wrong_length"}, set(), {"idle"})
    assert (found.runs, found.caught, found.certified) == (3, 2, 1)
    assert found.flagged == Counter(idle=2, wrong_length=1)


def test_the_table_has_a_column_for_every_check_that_flagged_and_bold_for_the_one_that_should() -> None:
    idle, healthy = BY_NAME["drafter loaded but idle"], BY_NAME["healthy"]
    bonus = BY_NAME["wrong bonus token"]
    found = {
        each.entry.name: each
        for each in (counted(healthy, set(), set()), counted(idle, {"idle"}, {"idle", "bursts"}), counted(bonus, set()))
    }
    assert page.table(found).splitlines() == [
        "| engine | `idle` | `bursts` | any | certified |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| healthy | · | · | 0 | 2 |",
        "| drafter loaded but idle | **2** | 1 | 2 | 0 |",
        "| wrong bonus token | · | · | 0 | 1 |",
    ]


def test_the_section_is_replaced_and_nothing_else_of_the_page() -> None:
    page_before = "# Title\n\nOther words.\n"
    first = page.placed(page_before, "one\n")
    assert first == f"# Title\n\nOther words.\n\n{page.BEGIN}\none\n{page.END}\n"
    assert page.placed(f"{first}\nMore.\n", "two\n") == first.replace("one", "two") + "\nMore.\n"
