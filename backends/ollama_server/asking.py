"""The body of a request to /api/generate: everything said, so that no default of server or Modelfile decides. Pure."""

from collections.abc import Mapping

from backends.ollama_server.places import Place
from results.records import Draft, Json, Prompt, Request

NEUTRAL: Mapping[str, Json] = {
    "min_p": 0.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "mirostat": 0,
}
DROPPED = "The weather in the harbour was calm, and so"
"""Prompt of the request that is thrown away after a change; no workload's prompt begins so."""
DROPPED_TOKENS = 16


def drafting(draft: Draft | None) -> dict[str, Json]:
    """The option that makes the arm."""
    return {"draft_num_predict": 0 if draft is None else draft.length}


def computing(threads: int | None) -> dict[str, Json]:
    """Options of the runner."""
    return {} if threads is None else {"num_thread": threads}


def model(place: Place, draft: Draft | None) -> str:
    return place.plain_model if draft is None and place.plain_model is not None else place.model


def generate(place: Place, prompt: Prompt, request: Request, threads: int | None) -> dict[str, Json]:
    """Raises ValueError for what Ollama cannot be asked."""
    if prompt.text is None:
        raise ValueError("Ollama takes text, and this prompt is token ids")
    if request.ignore_eos:
        raise ValueError("Ollama cannot run past the end of text")
    sampling = request.sampling
    options: dict[str, Json] = {
        **drafting(request.draft),
        "num_predict": request.max_new_tokens,
        "num_ctx": place.context,
        "temperature": sampling.temperature,
        "top_k": 1 if sampling.temperature == 0 else sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        **NEUTRAL,
    }
    if sampling.seed is not None:
        options["seed"] = sampling.seed & 0x7FFFFFFF
    options |= computing(threads)
    return {
        "model": model(place, request.draft),
        "prompt": prompt.text,
        "raw": True,
        "stream": True,
        "keep_alive": place.keep_alive,
        "options": options,
    }


def unload(place: Place, draft: Draft | None) -> dict[str, Json]:
    """Ends the runner of the arm's tag, and its prompt cache with it."""
    return {"model": model(place, draft), "keep_alive": 0, "stream": False}
