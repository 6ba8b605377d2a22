"""A STUB of an Ollama server: Ollama's API and log lines over a real llama.cpp, one server for each draft length.

Tokens, times, drafts and the prompt cache are llama.cpp's own. What it cannot show: Ollama's own runner, its MLX
engine, how long its reloads take, and whether a real version logs these lines.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from stubs.http_server import Answer, serving

TAGS = ("demo", "demo-plain")
RELOAD_S = 0.2


class Stub:
    """behind: draft length (0: none) -> URL of a real llama.cpp server."""

    def __init__(self, behind: Mapping[int, str], log: Path) -> None:
        self._behind, self._log = behind, log
        self._one_at_a_time = threading.Lock()
        self.loaded: tuple[str, int] | None = None
        self.fresh = True
        """Nothing has been asked of the runner since it was loaded: its prompt cache is empty."""
        self.asked: list[dict[str, Any]] = []
        self.reloads = 0
        self.silent_log = False
        self.break_off = False

    def show(self, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        if body["model"] not in TAGS:
            return 404, {"error": f"model '{body['model']}' not found"}
        draft = "DRAFT drafter.gguf\n" if body["model"] == "demo" else ""
        details = {"format": "gguf", "family": "gemma4", "quantization_level": "F32"}
        return 200, {"modelfile": f"FROM target.gguf\n{draft}", "details": details, "model_info": {}}

    def generate(self, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        self.asked.append(body)
        if body.get("keep_alive") == 0 and "prompt" not in body:
            self.loaded = None
            return 200, {"model": body["model"], "done": True, "done_reason": "unload"}
        return self.pieces(body)

    def pieces(self, body: dict[str, Any]) -> Iterator[str]:
        with self._one_at_a_time:
            began, options = time.perf_counter_ns(), body["options"]
            runner = (body["model"], options["draft_num_predict"] if body["model"] == "demo" else 0)
            if runner != self.loaded:
                time.sleep(RELOAD_S)
                self.loaded, self.fresh, self.reloads = runner, True, self.reloads + 1
            load = time.perf_counter_ns() - began
            asked = {
                "prompt": body["prompt"],
                "n_predict": options["num_predict"],
                "temperature": options["temperature"],
                "cache_prompt": not self.fresh,  # Ollama's is always on; a new runner has an empty one
                "stream": True,
                "id_slot": 0,
            }
            self.fresh = False
            timings: dict[str, Any] = {}
            with httpx.stream("POST", f"{self._behind[runner[1]]}/completion", json=asked, timeout=60) as answer:
                for line in answer.iter_lines():
                    if not line.startswith("data: {"):
                        continue
                    data = json.loads(line[6:])
                    if data["content"]:
                        yield _line(body, response=data["content"], done=False)
                    if self.break_off:
                        yield _line(body, error="llama runner process has terminated: signal: killed")
                        return
                    if data["stop"]:
                        timings, reason = data["timings"], "stop" if data["stop_type"] == "eos" else "length"
            yield _line(
                body,
                response="",
                done=True,
                done_reason=reason,
                total_duration=time.perf_counter_ns() - began,
                load_duration=load,
                prompt_eval_count=timings["prompt_n"] + timings["cache_n"],
                prompt_eval_duration=int(timings["prompt_ms"] * 1e6),
                eval_count=timings["predicted_n"],
                eval_duration=int(timings["predicted_ms"] * 1e6),
            )
            if not self.silent_log:
                self._write(timings)

    def _write(self, timings: Mapping[str, Any]) -> None:
        """The lines of llama.cpp's print_timing that Ollama hands on."""
        start, prompt, new = "slot print_timing: id  0 | task 6 | ", timings["prompt_n"], timings["predicted_n"]
        total = timings["prompt_ms"] + timings["predicted_ms"]
        lines = [
            f"prompt eval time = {timings['prompt_ms']:10.2f} ms / {prompt:5d} tokens ( 1.00 ms per token)",
            f"       eval time = {timings['predicted_ms']:10.2f} ms / {new:5d} tokens ( 1.00 ms per token)",
            f"      total time = {total:10.2f} ms / {prompt + new:5d} tokens",
        ]
        if drafted := timings.get("draft_n", 0):
            accepted = timings["draft_n_accepted"]
            ratio = f"draft acceptance = {accepted / drafted:.5f} ({accepted:5d} accepted / {drafted:5d} generated)"
            lines.append(f"{ratio}, mean len =  1.00")
        with self._log.open("a") as file:
            file.write("".join(f"{start}{line}\n" for line in lines))


def _line(body: Mapping[str, Any], **data: Any) -> str:
    return json.dumps({"model": body["model"], "created_at": "2026-11-24T00:00:00Z", **data}) + "\n"


@contextmanager
def ollama(behind: Mapping[int, str], log: Path) -> Iterator[tuple[str, Stub]]:
    """The stub's URL, and the stub. log: where it writes."""
    log.touch()
    stub = Stub(behind, log)
    routes = {
        "GET /api/version": lambda headers, body: (200, {"version": "0.33.0-stub"}),
        "POST /api/show": stub.show,
        "POST /api/generate": stub.generate,
    }
    with serving(routes) as url:
        yield url, stub
