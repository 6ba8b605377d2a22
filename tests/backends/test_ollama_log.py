"""Lines of an Ollama server's log, as both of its engines write them."""

import threading
import time
from pathlib import Path

import pytest

from backends.ollama_server import log
from backends.ollama_server.log import LogFile, Told
from results.records import DraftCounts

PROMPT = "slot print_timing: id  0 | task 6 | prompt eval time =      16.31 ms /    14 tokens (    1.17 ms per token)"
TOTAL = "slot print_timing: id  0 | task 6 |       total time =     110.56 ms /    38 tokens"
DRAFTS = "slot print_timing: id  0 | draft acceptance = 0.27273 (   21 accepted /    77 generated), mean len =  1.81"
MLX = 'time=2026-11-24T10:00:00Z level=INFO msg="speculative decode stats" iterations=23 drafted=69 accepted=30'
NOISE = '[GIN] 2026/11/24 - 10:00:00 | 200 |  1.2s |       127.0.0.1 | POST     "/api/generate"'


def test_llama_cpp_s_lines_tell_drafts_and_computed_prompt_tokens() -> None:
    assert log.read([PROMPT, NOISE, TOTAL, DRAFTS]) == Told(DraftCounts(None, 77, 21), 14)


def test_the_mlx_engine_tells_its_rounds_too() -> None:
    assert log.read([NOISE, MLX]) == Told(DraftCounts(23, 69, 30), None)
    assert log.read(["speculative decode stats iterations=2 drafted=6 accepted=1"]).counts == DraftCounts(2, 6, 1)


def test_a_request_without_a_line_about_drafts_drafted_nothing() -> None:
    assert log.read([PROMPT, TOTAL]) == Told(DraftCounts(None, 0, 0), 14)


def test_lines_of_two_requests_tell_of_neither() -> None:
    assert log.read([PROMPT, DRAFTS, PROMPT, DRAFTS]) == Told(None, None)
    assert log.read([MLX, MLX]).counts is None
    assert log.read([PROMPT, TOTAL, PROMPT, TOTAL]).counts is None


def test_other_lines_tell_nothing() -> None:
    assert log.read([NOISE, "draft acceptance is not measured"]) == Told(None, None)


def test_only_complete_lines_after_the_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(f"{DRAFTS}\n")
    file = LogFile(path)
    mark = file.mark()
    with path.open("a") as more:
        more.write(f"{PROMPT}\n{TOTAL[:30]}")
    assert file.since(mark) == [PROMPT]


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(f"{DRAFTS}\n" * 9)
    mark = LogFile(path).mark()
    path.write_text(f"{MLX}\n")
    assert LogFile(path).since(mark) == [MLX]


def test_lines_that_come_late_are_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.touch()

    def write() -> None:
        for line in (PROMPT, TOTAL, DRAFTS):
            time.sleep(0.05)
            with path.open("a") as file:
                file.write(f"{line}\n")

    writer = threading.Thread(target=write)
    writer.start()
    told = log.wait(LogFile(path), 0, drafted=True)
    writer.join()
    assert told == Told(DraftCounts(None, 77, 21), 14)


def test_a_log_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "WITHIN", 0.05)
    path = tmp_path / "server.log"
    path.touch()
    assert log.wait(LogFile(path), 0, drafted=True) == Told(None, None)
