"""A small run file for reports: one engine, a launch that failed, a trial that failed and one that was flagged."""

from pathlib import Path

from results.records import Cell, Draft, EngineConfig, Failure, Launch, Sampling, SessionFacts, Trial
from results.store import RunFile, RunWriter
from results.verdicts import RunVerdict


def run_file(path: Path, verdict: RunVerdict, *, failures: int = 1, text: str = "killed by signal 9") -> RunFile:
    """Write a file beside `verdict` (whose figures it does not hold) and open it; `text` is what failures say."""
    facts = SessionFacts(
        versions={"torch": "2.13.0", "transformers": "5.22.2"},
        device="cpu",
        dtype="float32",
        eos_token_ids=(1, 6),
        context_limit=2048,
        vocab_size=2048,
        threads=1,
        target_bytes=16_160_000,
        drafter_bytes=2_680_000,
        chat_template=True,
        files={"target/config.json": "5e" * 32, "assistant/config.json": "a1" * 32},
        statement={"attn": "sdpa"},
    )
    manifest = {key: value for key, value in verdict.run.items() if key in ("name", "sweep", "seed", "provenance")}
    with RunWriter.create(path, manifest) as writer:
        cell = writer.add_cell(
            Cell(0, "speculative", "transformers", "demo", Draft("mtp", 4), 1, 64, 96, Sampling(), "float32", "cpu")
        )
        engine = EngineConfig(dtype="float32", device="cpu", methods=("mtp",))
        up = writer.add_launch(Launch("transformers", "demo", engine, 0, facts, "run.log"))
        writer.add_launch(Launch("vllm", "demo", engine, 0, None, "run.log", Failure("error", text)))
        for unit in range(failures):
            writer.add_trial(Trial(cell, up, unit, 0, 0, "headline", 0, 0, None, Failure("crash", text)), [], {})
        writer.add_trial(Trial(cell, up, 0, 0, 1, "headline", 0, 10**9, 10**9, flags=("foreign-load",)), [], {})
        writer.finish("finished")
    return RunFile.open(path)
