"""The demo pair's GGUF files as the tests of llama.cpp open them: float32, one thread, three slots."""

from dataclasses import replace
from pathlib import Path

from results.records import Draft, EngineConfig, Pair

FILES = Path(__file__).parents[2] / "workloads" / "data" / "formats" / "demo"
TARGET, DRAFTER = str(FILES / "target-f32.gguf"), str(FILES / "drafter-f32.gguf")
PAIR = Pair("demo", TARGET, DRAFTER)
ENGINE = EngineConfig(
    dtype="float32", device="cpu", threads=1, max_context=512, methods=("mtp",), options={"parallel": 3}
)
MTP = Draft("mtp", 4)


def engine_of(draft: Draft | None) -> EngineConfig:
    return replace(ENGINE, draft=draft)
