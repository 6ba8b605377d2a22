"""One small record of each kind, for tests that care about the file rather than about what is in it."""

from results.records import (
    HEADLINE,
    PLAIN,
    SPECULATIVE,
    Arrival,
    Cell,
    Draft,
    EngineConfig,
    Generation,
    Json,
    Launch,
    Prompt,
    Round,
    Sampling,
    Trial,
)
from results.store import RunWriter

MANIFEST: dict[str, Json] = {
    "schema_of": "0.1.0",
    "name": "sample",
    "seed": 0,
    "created_unix_ns": 1_780_000_000_000_000_000,
}
CELLS = tuple(
    Cell(
        group=0,
        role=role,
        backend="transformers",
        pair="demo",
        draft=draft,
        batch_size=1,
        prompt_tokens=3,
        output_tokens=4,
        sampling=Sampling(),
        dtype="float32",
        device="cpu",
    )
    for role, draft in ((PLAIN, None), (SPECULATIVE, Draft("mtp", 3)))
)
PROMPT = Prompt("coding/03", "demo", "coding", (2, 3, 5), "naïve 💡")
LAUNCH = Launch("transformers", "demo", EngineConfig(), 1_780_000_000_000_000_000, None, "worker.log")
TRIAL = Trial(2, 1, unit=0, repeat=0, half=0, phase=HEADLINE, started_unix_ns=5, wall_ns=900, cpu_ns=None)
GENERATION = Generation(
    n_tokens=4,
    token_ids=(7, 11, 13, 17),
    text=None,
    arrivals=(Arrival(100, 1), Arrival(300, 4)),
    rounds=(Round(3, 2, 3, 40, 60, 110),),
)


def fill(writer: RunWriter, trials: int = 1) -> None:
    """Two cells, a prompt, a launch, and `trials` trials of the speculative cell."""
    for cell in CELLS:
        writer.add_cell(cell)
    writer.add_prompt(PROMPT)
    writer.add_launch(LAUNCH)
    for _ in range(trials):
        writer.add_trial(TRIAL, [(1, GENERATION)], {"load": 0.5})
