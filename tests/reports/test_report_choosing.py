"""Settings against each other: the frontier, what is spent beside plain decoding, and what the report shows of it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.verdicts import HOSTILE, cell, hostile, verdict

from reports.groups import groups
from reports.html import render
from reports.operating import Point, choices, winners
from reports.plots.pareto import pareto
from reports.resources import Resources, Used, resources
from reports.tradeoff import change, spent
from results.records import (
    Arrival,
    Cell,
    Draft,
    EngineConfig,
    Failure,
    Generation,
    Launch,
    Prompt,
    Sampling,
    Trial,
)
from results.store import RunFile, RunWriter
from results.verdicts import ArmTiming, CellVerdict, RunVerdict


def timed(k: int, batch: int, tpot: float, rate: float, **changes: object) -> CellVerdict:
    """A cell of a group for each batch size; plain: 10 ms and 100 tokens/s a row."""
    made = cell(k, group=batch, batch_size=batch, **changes)
    return replace(
        made,
        baseline=ArmTiming(10.0, 20.0, 100.0 * batch),
        speculative=ArmTiming(tpot, 22.0, rate),
    )


def arms(points: tuple[Point, ...], which: tuple[int, ...]) -> list[str]:
    return [f"{points[i].arm}, {points[i].batch}" for i in which]


def test_the_frontier_holds_what_nothing_beats_in_both() -> None:
    run = verdict([timed(2, 1, 6.0, 160.0), timed(4, 1, 5.0, 190.0), timed(2, 8, 8.0, 950.0), timed(4, 8, 12.0, 640.0)])
    (choice,) = choices(groups(run))
    assert len(choice.points) == 6, "two plain arms and four drafted ones"
    assert arms(choice.points, choice.frontier) == ["k = 4, batch 1", "k = 2, batch 8"]
    assert [choice.place(index) for index in range(6)] == [None, None, 1, None, 2, None]


def test_with_one_batch_size_the_fastest_is_the_frontier() -> None:
    (choice,) = choices(groups(verdict([timed(2, 1, 6.0, 160.0), timed(4, 1, 5.0, 190.0)])))
    assert arms(choice.points, choice.frontier) == ["k = 4, batch 1"]
    assert "1: transformers k = 4, batch 1, 200 tokens/s for each user, 190 in all" in pareto("p", choice).alternative


@pytest.mark.parametrize("changes", [{"status": "invalid"}, {"status": "unverified"}, {"synthetic": True}])
def test_what_may_not_be_ranked_is_never_on_the_frontier(changes: dict[str, object]) -> None:
    (choice,) = choices(groups(verdict([timed(2, 1, 6.0, 160.0), timed(4, 1, 5.0, 190.0, **changes)])))
    assert arms(choice.points, choice.frontier) == ["k = 2, batch 1"]
    assert choice.points[2].labels


def test_other_requests_are_no_competitors() -> None:
    run = verdict([timed(2, 1, 6.0, 160.0), timed(4, 2, 5.0, 400.0, prompt_tokens=4096)])
    assert [choice.label for choice in choices(groups(run))] == ["64-token prompts", "4,096-token prompts"]
    assert all(len(choice.frontier) == 1 for choice in choices(groups(run)))


def test_a_runtime_wins_with_drafting_only_where_that_is_distinguishable() -> None:
    run = verdict([timed(4, 1, 5.0, 190.0), timed(4, 8, 9.9, 810.0)])
    doubtful = [replace(b, distinguishable=b.group == 1) for b in run.best]
    found = winners("a", groups(replace(run, best=doubtful)))
    assert [won.point.arm for won in found] == ["k = 4", "plain"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(10.0, 5.0, "10.0 → 5.00 ms (−50 %)"), (10.0, 10.01, "10.0 → 10.0 ms (±0 %)"),
     (2.0, 3.0, "2.00 → 3.00 ms (+50 %)"), (None, 3.0, "unknown → 3.00 ms"), (3.0, None, "3.00 → unknown ms"),
     (None, None, "unknown"), (0.0, 1.0, "0 → 1.00 ms")],
)  # fmt: skip
def test_a_change_says_both_ends_and_by_how_much(before: float | None, after: float | None, told: str) -> None:
    assert change(before, after, "ms", "unknown").replace("\u00a0", " ") == told


def test_energy_and_money_follow_from_power_rate_and_price() -> None:
    (group,) = groups(verdict([timed(4, 1, 5.0, 200.0)]))
    used = Resources({group.cells[0].cell_id: Used(watts=300.0), 9: Used(watts=250.0)}, {1: 9})
    (found,) = spent(group, used, 3.6)
    assert found.joules == (2.5, 1.5), "250 W / 100 tokens/s, 300 W / 200 tokens/s"
    assert found.money == (pytest.approx(10.0), pytest.approx(5.0)), "3.6 an hour is 0.001 a second"
    told = dict(found.lines)
    assert told["Energy per token"] == "2.50 → 1.50 J (−40\u00a0%)"
    assert told["Money per million tokens"] == "10.0 → 5.00 (−50\u00a0%)"


def test_what_was_not_measured_is_said_and_never_0() -> None:
    (group,) = groups(verdict([timed(4, 1, 5.0, 200.0)]))
    (found,) = spent(group, Resources({}, {}), None)
    assert dict(found.lines)["Energy per token"] == "not measured"
    assert "Money per million tokens" not in dict(found.lines)
    assert found.money == (None, None)


def using(path: Path) -> RunFile:
    """A plain and a drafted cell: peak memory, cache, power, experts of two layers; one trial failed."""
    engine = EngineConfig(dtype="float32", device="cpu", methods=("mtp",))

    def generation(**told: Any) -> Generation:
        return Generation(2, (3, 4), None, (Arrival(1, 1), Arrival(9, 2)), **told)

    def experts(*layers: float) -> dict[str, object]:
        return {"cache_bytes": 640, "experts": {"distinct_per_layer": list(layers), "tokens_per_pass": 5}}

    with RunWriter.create(path, {"name": "using"}) as writer:
        prompt = writer.add_prompt(Prompt("p", "w", "code", (1, 2), None))
        plain = writer.add_cell(Cell(4, "plain", "reference", "demo", None, 1, 2, 2, Sampling(), "float32", "cpu"))
        draft = writer.add_cell(
            Cell(4, "speculative", "reference", "demo", Draft("mtp", 4), 1, 2, 2, Sampling(), "float32", "cpu")
        )
        up = writer.add_launch(Launch("reference", "demo", engine, 0, None, "run.log"))

        def trial(cell_id: int, phase: str, wall: int, watts: float, told: Generation, n: int) -> None:
            made = Trial(cell_id, up, n, 0, 0, phase, 0, wall, None)
            writer.add_trial(made, [(prompt, told)], {"gpu_watts": watts})

        trial(plain, "headline", 100, 200.0, generation(peak_memory_bytes=5_000), 0)
        trial(plain, "instrumented", 100, 900.0, generation(statement=experts(2, 2)), 0)
        trial(draft, "headline", 100, 300.0, generation(peak_memory_bytes=6_000), 0)
        trial(draft, "headline", 300, 500.0, generation(peak_memory_bytes=7_000), 1)
        trial(draft, "instrumented", 100, 900.0, generation(statement=experts(4, 6)), 0)
        trial(draft, "instrumented", 100, 900.0, generation(statement=experts(6, 8)), 1)
        trial(draft, "instrumented", 100, 0.0, generation(statement={"experts": "many", "cache_bytes": "no"}), 2)
        failed = Trial(draft, up, 2, 0, 0, "headline", 0, 900, None, Failure("oom", "no room"))
        writer.add_trial(failed, [], {"gpu_watts": 9_000.0})
        writer.finish("finished")
    return RunFile.open(path)


def test_what_was_used_is_read_by_cell(tmp_path: Path) -> None:
    with using(tmp_path / "run.sqlite") as file:
        found = resources(file)
    assert found.of_plain(4) == Used(5_000, 640, 200.0, (2.0, 2.0), 5.0)
    assert found.of(2) == Used(7_000, 640, 450.0, (5.0, 7.0), 5.0), "(100 x 300 + 300 x 500) / 400 watts"
    assert found.of(99) == found.of_plain(99) == Used()


def shown(tmp_path: Path, run: RunVerdict, price: float | None = None) -> str:
    with using(tmp_path / "run.sqlite") as file:
        return render([(file, run)], price)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace("\u00a0", " ")


def test_the_report_shows_what_is_spent(tmp_path: Path) -> None:
    one = replace(timed(4, 1, 5.0, 200.0), group=4, cell_id=2)
    told = words(shown(tmp_path, verdict([one]), 3.6))
    first = told.split("Time per output token of plain")[0]
    for said in ("Time per token 10.0 → 5.00 ms (−50 %)", "First token (TTFT) 20.0 → 22.0 ms (+10 %)",
                 "Drafter’s memory 2.68 MB", "Energy per token 2.00 → 2.25 J (+12 %)",
                 "Money per million tokens 10.0 → 5.00 (−50 %)"):  # fmt: skip
        assert said in first, said
    for said in ("5.00 kB → 7.00 kB", "640 B → 640 B", "200 → 450 (+125 %)", "2.00 → 6.00 (5.00–7.00)",
                 "Money is 3.60 an hour",
                 "plain 2.00 for 5.00 tokens a pass; k = 4 6.00 (5.00–7.00) for 5.00 tokens a pass."):  # fmt: skip
        assert said in told, said


def test_without_a_price_no_money_is_shown(tmp_path: Path) -> None:
    told = words(shown(tmp_path, verdict([timed(4, 1, 5.0, 200.0)])))
    assert "Money per million tokens" not in told
    assert "Money needs a price: mtpbench report --price-per-hour" in told
    assert "Energy per token not measured" in told


def test_runtimes_stand_side_by_side(tmp_path: Path) -> None:
    run = verdict([timed(4, 1, 5.0, 190.0), timed(4, 2, 9.9, 210.0, backend="vllm")])
    html = shown(tmp_path, run)
    table = words(html[html.index('id="winners"') :].split("</table>")[0])
    assert re.search(r"transformers batch 1 demo .* k = 4 200 190", table)
    assert re.search(r"vllm batch 2 demo .* k = 4 101 210", table)


def test_a_strangers_names_do_nothing_in_the_new_tables(tmp_path: Path) -> None:
    attack = HOSTILE + "m" * 1_000_000
    run = hostile()
    made = replace(
        run, cells=[replace(c, backend=attack, pair=attack, method=attack, reason=attack) for c in run.cells]
    )
    html = shown(tmp_path, made, 1.0)
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert not set(html) & set("\x1b\x07\x00\x9b\u202e\u2066\ud800")
    assert len(html) < 1_000_000
