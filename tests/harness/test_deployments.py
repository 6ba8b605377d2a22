"""A run file -> the text that each of its settings is deployed by."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.deployments import deployments, measure_only
from results.records import (
    CONTROL,
    HEADLINE,
    PLAIN,
    SPECULATIVE,
    Cell,
    Draft,
    EngineConfig,
    Json,
    Launch,
    Role,
    Sampling,
    SessionFacts,
    Trial,
)
from results.store import RunFile, RunWriter

STATED: dict[str, Json] = {}
FACTS = SessionFacts(
    versions={"vllm": "0.32.0"}, device="cuda:0 NVIDIA H100", dtype="bfloat16", eos_token_ids=(), context_limit=None,
    vocab_size=None, threads=None, target_bytes=None, drafter_bytes=None, chat_template=False, files={},
    statement=STATED,
)  # fmt: skip
PAIR = "google/gemma-4-E4B-it:google/gemma-4-E4B-it-assistant"


def cell(draft: int | None, batch: int = 1, group: int = 0, role: Role | None = None, **other: Any) -> Cell:
    drafted = None if draft is None else Draft("mtp", draft)
    made = Cell(
        group=group, role=role or (SPECULATIVE if drafted else PLAIN), backend="vllm", pair=PAIR, draft=drafted,
        batch_size=batch, prompt_tokens=None, output_tokens=64, sampling=Sampling(), dtype="auto", device="auto",
    )  # fmt: skip
    return replace(made, **other)


def written(path: Path, cells: Iterable[Cell], engine: EngineConfig | None = None, **launched: Any) -> Path:
    """A run file of these cells, each measured by a launch of its own; ids count from 1."""
    with RunWriter.create(path, {"name": "made"}) as writer:
        for one in cells:
            config = replace(engine or EngineConfig(), draft=one.draft)
            launch = Launch(one.backend, one.pair, config, 0, FACTS)
            cell_id, launch_id = writer.add_cell(one), writer.add_launch(replace(launch, **launched))
            writer.add_trial(Trial(cell_id, launch_id, 0, 0, 0, HEADLINE, 0, 1, None), [], {})
        writer.finish("finished")
    return path


def read(path: Path, *chosen: int) -> dict[int, str]:
    with RunFile.open(path) as file:
        return deployments(file, chosen)


def test_plain_and_drafted_cells_have_their_commands_and_controls_none(tmp_path: Path) -> None:
    found = read(written(tmp_path / "r.sqlite", [cell(None), cell(None, role=CONTROL), cell(4)]))
    assert found.keys() == {1, 3}
    assert "speculative" not in found[1] and "serve google/gemma-4-E4B-it \\\n" in found[1]
    assert '"num_speculative_tokens": 4' in found[3]


def test_a_cell_whose_engine_never_came_up_or_whose_backend_is_not_here_has_none(tmp_path: Path) -> None:
    assert read(written(tmp_path / "r.sqlite", [cell(4)], facts=None)) == {}
    assert read(written(tmp_path / "s.sqlite", [cell(4, backend="phone")], facts=None)) == {}


def test_recommended_lengths_that_differ_by_batch_become_a_schedule(tmp_path: Path) -> None:
    cells = [cell(4), cell(None, 8, 1), cell(2, 4, 2), cell(None, group=0), cell(6)]
    path = written(tmp_path / "r.sqlite", cells)
    found = read(path, 1, 2, 3)
    assert all("[[1, 1, 4], [2, 4, 2], [5, 8, 0]]" in found[id_] for id_ in (1, 3))
    assert not any("per_batch_size" in found[id_] for id_ in (2, 4, 5))
    assert not any("per_batch_size" in text for text in read(path, 1, 5).values())
    assert not any("per_batch_size" in text for text in read(path, 2, 4).values())


def test_one_length_for_all_batches_needs_no_schedule_and_two_methods_have_none(tmp_path: Path) -> None:
    lookup = replace(cell(2, 8, 1), draft=Draft("prompt-lookup", 2))
    path = written(tmp_path / "r.sqlite", [cell(4), cell(4, 8, 1), lookup])
    assert not any("per_batch_size" in text for text in read(path, 1, 2).values())
    assert not any("per_batch_size" in text for text in read(path, 1, 3).values())


def test_a_run_file_allows_no_code_of_a_model_s_own(tmp_path: Path) -> None:
    path = written(tmp_path / "r.sqlite", [cell(4)], EngineConfig(trust_remote_code=True))
    (text,) = read(path).values()
    assert [line for line in text.split("\n") if "trust-remote-code" in line] == [text.split("\n")[-1]]
    assert text.split("\n")[-1].startswith("# ")
    loading = EngineConfig(trust_remote_code=True, options={"logits_processors": "evil:Module"})
    (refused,) = read(written(tmp_path / "s.sqlite", [cell(4)], loading)).values()
    assert refused.startswith("# How to deploy it cannot be said") and "\n" not in refused


def test_a_stranger_s_pair_is_a_word_and_no_option(tmp_path: Path) -> None:
    name = "--trust-remote-code:--config=x\n$(id)"
    (text,) = read(written(tmp_path / "r.sqlite", [cell(4, pair=name)], pair=name)).values()
    assert "serve ./--trust-remote-code" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_no_setting_is_taken_for_an_option(tmp_path: Path) -> None:
    strange = [{"engine": EngineConfig(dtype="--x")}, {"engine": EngineConfig(device="--x")}]
    for number, launched in enumerate([*strange, {"facts": replace(FACTS, device="--rpc=evil")}]):
        (text,) = read(written(tmp_path / f"{number}.sqlite", [cell(4)], **launched)).values()
        assert text.startswith("# How to deploy it cannot be said")


def test_files_that_are_not_on_this_machine_are_named_as_they_were(tmp_path: Path) -> None:
    name = "~/models/target:/elsewhere/drafter"
    (text,) = read(written(tmp_path / "r.sqlite", [cell(4, pair=name)], pair=name)).values()
    assert 'vllm serve "$HOME"/models/target' in text and '"/elsewhere/drafter"' in text


def test_a_pair_that_the_runtime_cannot_load_says_why(tmp_path: Path) -> None:
    (text,) = read(written(tmp_path / "r.sqlite", [cell(4, pair="random:tiny-e4b")], pair="random:tiny-e4b")).values()
    assert text.startswith("# How to deploy it cannot be said")


def test_the_reference_engine_only_measures() -> None:
    assert [*measure_only(["vllm", "reference", "openai", "no such backend"])] == ["reference"]
    assert measure_only(["reference"])["reference"].startswith("A measuring engine, not a server")
