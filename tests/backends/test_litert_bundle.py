"""A .litertlm bundle read as a file: what is in it, the draft length baked in, and files that are none."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from the_litert_bundle import BUNDLE, PAIR

from backends.litert import Adapter
from backends.litertlm import bundle
from results.records import Pair

WHOLE = BUNDLE.read_bytes()
HEADER_AND_METADATA = 81_920
"""Where the demo bundle's first model begins."""


def of(data: bytes, folder: Path) -> Path:
    path = folder / "some.litertlm"
    path.write_bytes(data)
    return path


def test_the_demo_bundle_drafts_four_tokens_a_round_in_float32() -> None:
    found = bundle.read(BUNDLE)
    assert (found.draft_length, found.weights) == (4, "float32")
    assert bundle.baked_in(BUNDLE) == 4
    assert [section.kind for section in found.sections if section.kind] == [
        "tf_lite_prefill_decode",
        "tf_lite_embedder",
        "tf_lite_per_layer_embedder",
        "tf_lite_mtp_drafter",
    ]


def test_target_and_drafter_add_up_to_all_models() -> None:
    found = bundle.read(BUNDLE)
    assert found.drafter is not None
    assert found.drafter.size == 2_762_312  # 0.67 M parameters in float32, and their graph
    assert found.target_bytes + found.drafter.size == sum(s.size for s in found.sections if s.kind)


def test_the_planner_is_told_the_one_draft_length() -> None:
    assert Adapter().draft_lengths(PAIR, {}) == (4,)


def test_without_a_drafter_there_is_no_draft_length(tmp_path: Path) -> None:
    path = of(WHOLE.replace(b"tf_lite_mtp_drafter", b"tf_lite_mtp_drafted"), tmp_path)
    assert bundle.read(path).drafter is None
    assert bundle.baked_in(path) is None
    assert Adapter().draft_lengths(Pair("p", str(path), None), {}) == ()


def test_where_no_signature_verifies_drafts_the_length_is_not_known(tmp_path: Path) -> None:
    assert b"verify\0" in WHOLE
    path = of(WHOLE.replace(b"verify\0", b"werify\0"), tmp_path)
    assert bundle.baked_in(path) is None
    assert Adapter().draft_lengths(Pair("p", str(path), None), {}) is None


@pytest.mark.parametrize("data", [b"", b"GGUF", b"LITERTL"], ids=["empty", "another format", "shorter than its magic"])
def test_another_file_is_refused_by_name(data: bytes, tmp_path: Path) -> None:
    path = of(data, tmp_path)
    with pytest.raises(ValueError, match=r"some\.litertlm is no LiteRT-LM bundle"):
        bundle.read(path)
    assert Adapter().draft_lengths(Pair("p", str(path), None), {}) is None


def test_a_missing_file_is_left_to_open(tmp_path: Path) -> None:
    assert Adapter().draft_lengths(Pair("p", str(tmp_path / "none.litertlm"), None), {}) is None


@pytest.mark.parametrize("length", [8, 24, 31, 40, 500, 951, 90_000])
def test_a_cut_file_is_damaged(length: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is damaged"):
        bundle.read(of(WHOLE[:length], tmp_path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@settings(max_examples=200)
@given(changes=st.lists(st.tuples(st.integers(8, 951), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_header_with_wrong_bytes_is_read_or_damaged_and_nothing_else(
    changes: list[tuple[int, int]], folder: Path
) -> None:
    data = bytearray(WHOLE[:HEADER_AND_METADATA])
    for at, value in changes:
        data[at] = value
    with suppress(ValueError):  # damaged, as `draft_lengths` expects it
        bundle.read(of(bytes(data), folder))
