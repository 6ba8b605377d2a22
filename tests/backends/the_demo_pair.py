"""The demo pair as the tests of backends open it: float32, one thread."""

from pathlib import Path

from results.records import EngineConfig, Pair

DEMO = Path(__file__).parents[2] / "workloads" / "data" / "demo"
PAIR = Pair("demo", str(DEMO / "target"), str(DEMO / "assistant"))
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp", "prompt-lookup"))
