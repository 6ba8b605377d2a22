"""What goes into a run file comes out of it, exactly."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import strategies

from results.records import Cell, Generation, Json, Launch, Prompt, Trial
from results.store import RunFile, RunWriter

FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(
    cell=strategies.cells(),
    prompt=strategies.prompts(),
    launch=strategies.launches,
    trial=strategies.trials,
    generations=st.lists(strategies.generations(), max_size=3),
    telemetry=st.dictionaries(strategies.texts, st.floats(allow_nan=False), max_size=3),
    # `own-`, because the manifest's known keys have kinds of their own (test_store_refusals)
    manifest=strategies.statements.map(lambda found: {f"own-{key}": value for key, value in found.items()}),
    stopped=strategies.texts,
)
def test_every_record_comes_back_as_it_was_stored(
    cell: Cell,
    prompt: Prompt,
    launch: Launch,
    trial: Trial,
    generations: list[Generation],
    telemetry: dict[str, float],
    manifest: dict[str, Json],
    stopped: str,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        with RunWriter.create(path, manifest) as writer:
            assert (writer.add_cell(cell), writer.add_prompt(prompt), writer.add_launch(launch)) == (1, 1, 1)
            batch = [(1, generation) for generation in generations]
            trial_id = writer.add_trial(trial, batch, telemetry)
            writer.set_stopped(3, stopped)
            writer.finish("finished")
        with RunFile.open(path) as file:
            assert file.cells() == {1: cell}
            assert file.prompts() == {1: prompt}
            assert file.launches() == {1: launch}
            assert list(file.trials()) == [(trial_id, trial)]
            assert file.generations(trial_id) == batch
            assert [file.generation(i + 1) for i in range(len(batch))] == generations
            assert file.telemetry(trial_id) == telemetry
            assert file.stopped() == {3: stopped}
            assert {key: file.manifest[key] for key in manifest} == manifest
