"""Too little memory, unknown layers and absurd draft lengths: one line before anything is loaded."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from the_demo_pair import DEMO, ENGINE, PAIR
from tiny_pairs import make

from backends.hf import loading
from backends.reference import Adapter, memory
from backends.reference.session import ReferenceSession
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair, Prompt, Request
from workloads.pairs import resolve

ROWS = replace(ENGINE, methods=("mtp",), max_batch=4, max_context=1000)


def refusal(pair: Pair, engine: EngineConfig, free: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    with pytest.raises(UsageError) as told:
        memory.check(pair, engine)
    return str(told.value)


def megabytes(text: str) -> list[float]:
    return [float(n) * (1e3 if unit == "GB" else 1) for n, unit in re.findall(r"(\d+\.\d) (GB|MB)", text)]


def test_every_component_is_named_and_they_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(PAIR, ROWS, 10**6, monkeypatch)
    needed, free, *parts = megabytes(told)
    assert (free, len(parts)) == (1.0, 5)
    assert needed == pytest.approx(sum(parts), abs=0.3)
    assert re.search(
        r"target weights .* drafter weights .* keys and values of 4 \+ 2 x 1,000 tokens "
        r".* a prefill of 4 x 1,000 tokens .* logits of 4 x 9",
        told,
    )
    assert "\n" not in told


@pytest.mark.parametrize("kind", ["demo", "edge", "MoE", "unified"])
def test_what_is_counted_is_what_the_engine_then_holds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = PAIR if kind == "demo" else make(tmp_path, kind)
    _, _, target, drafter, kv, *_ = megabytes(refusal(pair, ROWS, 10, monkeypatch))
    monkeypatch.undo()
    with Adapter().open(pair, ROWS) as session:
        assert isinstance(session, ReferenceSession)
        assert session.facts.target_bytes is not None and session.facts.drafter_bytes is not None
        assert target * 1e6 == pytest.approx(session.facts.target_bytes, rel=0.02, abs=6e4)
        assert drafter * 1e6 == pytest.approx(session.facts.drafter_bytes, rel=0.02, abs=6e4)
        largest, control = (session.running([(5,) * 900] * n, Request(100, Draft("mtp", 8))) for n in (4, 2))
        held = largest.rows.cache.nbytes + control.rows.cache.nbytes
        assert kv * 1e6 == pytest.approx(held, rel=0.01, abs=6e4)


def test_random_weights_are_counted_by_their_config(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(resolve("random:31B"), replace(ROWS, dtype="bfloat16"), 8 * 10**9, monkeypatch)
    assert megabytes(told)[2] == pytest.approx(2 * 30_700, rel=0.01)


def test_what_just_fits_is_not_refused_and_half_the_type_takes_half_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    full, half = (megabytes(refusal(PAIR, replace(ROWS, dtype=d), 10, monkeypatch)) for d in ("float32", "bfloat16"))
    prefill = 5  # whose masks are of booleans
    assert half[2:prefill] + half[prefill + 1 :] == pytest.approx(
        [part / 2 for part in full[2:prefill] + full[prefill + 1 :]], abs=0.1
    )
    monkeypatch.setattr(memory, "free_bytes", lambda device: int((full[0] + 0.3) * 1e6))
    memory.check(PAIR, ROWS)


def test_nothing_is_loaded_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**6)
    monkeypatch.setattr(loading, "loaded", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UsageError, match="are free"), Adapter().open(PAIR, ROWS):
        pytest.fail("opened")


def test_where_nothing_says_what_is_free_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert memory.free_bytes(torch.device("meta")) is None
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert memory.free_bytes(torch.device("cpu")) is None
    memory.check(PAIR, replace(ROWS, max_batch=10**9))


def test_free_memory_is_read_in_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemFree: 1 kB\nMemAvailable:      2048 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    assert memory.free_bytes(torch.device("cpu")) == 2048 * 1024


def test_one_row_has_no_control_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "keys and values of 1 x 1,000 tokens" in refusal(PAIR, replace(ROWS, max_batch=1), 10, monkeypatch)


def test_a_second_table_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(PAIR, replace(ROWS, methods=("mtp", "mtp-own-embeddings")), 10, monkeypatch)
    table = memory._empty(json.loads((DEMO / "target" / "config.json").read_text())).get_input_embeddings().weight
    (found,) = re.findall(r"a second table of embeddings (\d+\.\d MB)", told)
    assert megabytes(found)[0] * 1e6 == pytest.approx(table.numel() * 4, abs=6e4)


def test_prompts_of_their_own_lengths_are_said_not_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Keys and values are not counted" in refusal(PAIR, replace(ROWS, max_context=None), 10, monkeypatch)
    assert "not counted" not in refusal(PAIR, ROWS, 10, monkeypatch)


@pytest.mark.parametrize(("name", "tokens", "seen"), [("31B", 128, 108_052), ("26B-A4B", 128, 160_100)])
def test_a_prefill_is_counted_as_it_was_seen(name: str, tokens: int, seen: int) -> None:
    """seen: bfloat16 numbers for each token, of one layer of each kind at its real widths (PyTorch 2.13)."""
    shapes = resolve(f"random:{name}").shapes
    assert shapes is not None
    text = memory._empty(shapes.target).model
    assert memory.prefill_bytes(text, 1, tokens, 2) == pytest.approx(2 * tokens * seen, rel=0.05)


@pytest.mark.parametrize(("dtype", "converted"), [("auto", False), ("bfloat16", False), ("float32", True)])
def test_weights_that_are_converted_on_their_way_to_a_gpu_need_room_on_the_host(
    dtype: str, converted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are read where they lie in their file."""
    monkeypatch.setattr(memory, "device_of", lambda text: torch.device("cuda:0"))
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**6 if device.type == "cpu" else 10**12)
    engine = replace(ROWS, dtype=dtype, device="cuda")
    if not converted:
        memory.check(PAIR, engine)
        return
    with pytest.raises(UsageError, match=r"needs .* on cpu and 1.0 MB are free: target weights .* choose bfloat16"):
        memory.check(PAIR, engine)


class Cuda:
    """What PyTorch says of a GPU's memory."""

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        self.watched = device

    def max_memory_allocated(self, device: torch.device) -> int:
        return 100

    def max_memory_reserved(self, device: torch.device) -> int:
        return 160

    def memory_snapshot(self) -> list[dict[str, object]]:
        held = [(0, (0, 0), 90, 50), (0, (0, 1), 30, 10), (0, (0, 2), self.own, 0), (1, (0, 1), 40, 0)]
        names = ("device", "segment_pool_id", "total_size", "allocated_size")
        return [dict(zip(names, segment, strict=True)) for segment in held]

    own = 7


def test_what_cuda_graphs_keep_for_themselves_belongs_to_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, device = Cuda(), torch.device("cuda:0")
    monkeypatch.setattr(memory, "CUDA", cuda)
    memory.watch_peak(device)
    assert cuda.watched == device
    assert memory.peak_bytes(device, graphs=False) == 100
    assert memory.peak_bytes(device, graphs=True) == 127
    cuda.own = 70
    assert memory.peak_bytes(device, graphs=True) == 160  # all that the process has
    assert memory.peak_bytes(torch.device("cpu"), graphs=False) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layer_types": ["sliding_attention", "linear_attention"] * 2}, "no linear_attention layers"),
        ({"model_type": "llama"}, "is a llama"),
    ],
)
def test_what_the_engine_has_no_modules_for_is_refused(
    change: dict[str, object], expected: str, tmp_path: Path
) -> None:
    shutil.copytree(DEMO / "target", tmp_path / "target")
    config = json.loads((tmp_path / "target" / "config.json").read_text()) | change
    (tmp_path / "target" / "config.json").write_text(json.dumps(config))
    with (
        pytest.raises(UsageError, match=expected),
        Adapter().open(Pair("own", str(tmp_path / "target"), None), replace(ENGINE, methods=())),
    ):
        pytest.fail("opened")


@pytest.mark.model
def test_drafts_longer_than_the_context_are_refused() -> None:
    with Adapter().open(PAIR, replace(ENGINE, methods=("mtp",))) as session:
        limit = session.facts.context_limit
        assert limit is not None
        with pytest.raises(UsageError, match=f"k = {limit} drafts do not fit a context of {limit:,} tokens"):
            session.generate([Prompt("x", "x", "coding", (5, 6), None)], Request(4, Draft("mtp", limit)))
