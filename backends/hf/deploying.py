"""A measured setting as a program of its own over Transformers. The standard library only."""

from typing import Any

from backends.base import Deployment
from backends.hf import asking
from backends.quoting import PROMPT, Name, call, program
from results.errors import UsageError
from results.records import Pair

MODEL = "AutoModelForCausalLM.from_pretrained"


def snippet(wanted: Deployment) -> str | None:
    """None for random weights, which nobody deploys. Raises UsageError for what the adapter refuses."""
    pair, engine, draft = wanted.pair, wanted.engine, wanted.engine.draft
    if pair.shapes is not None:
        return None
    options = asking.checked(engine.options, trusted=engine.trust_remote_code)
    common = {
        name: value for name, value in asking.pretrained(options, trusted=engine.trust_remote_code).items() if value
    }
    models = {"dtype": engine.dtype, **asking.placement(options), **common}
    device = _device(wanted)
    placed = "" if "device_map" in models or device == "auto" else "." + call("to", device)
    first = {"revision": options["revision"]} if "revision" in options else {}
    lines = [] if engine.threads is None else ["import torch"]
    lines += ["from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig", ""]
    lines += [] if engine.threads is None else [call("torch.set_num_threads", engine.threads)]
    lines += ["tokenizer = " + call("AutoTokenizer.from_pretrained", pair.target, **first, **common)]
    lines += ["target = " + call(MODEL, pair.target, **first, **models) + placed]
    asked: dict[str, Any] = asking.decoding(wanted.max_new_tokens, wanted.sampling, draft)
    if draft is not None and draft.method in asking.NEED_ASSISTANT:
        second = {"revision": options["assistant_revision"]} if "assistant_revision" in options else {}
        lines += ["assistant = " + call(MODEL, _assistant(pair), **second, **models) + placed]
        settings = call("GenerationConfig", **asking.assistant_config(draft))
        lines += [f"assistant.generation_config = {settings}"]
        asked["assistant_model"] = Name("assistant")
    size = wanted.batch_size
    prompts: object = PROMPT if size == 1 else Name(f"[{PROMPT!r}] * {size}")
    padding = {} if size == 1 else {"padding": True, "padding_side": "left"}
    lines += ["prompt = " + call("tokenizer", prompts, return_tensors="pt", **padding) + ".to(target.device)"]
    lines += [call("output = target.generate", Name("**prompt"), **asked)]
    lines += [call("print", Name(call("tokenizer.decode", Name("output[0]"), skip_special_tokens=True)))]
    return program(lines)


def _assistant(pair: Pair) -> str:
    if pair.assistant is None:
        raise UsageError(f"{pair.name} names no drafter")
    return pair.assistant


def _device(wanted: Deployment) -> str:
    """`cuda:0`, which the engine chose, where it was left the choice."""
    asked = wanted.engine.device
    if asked == "auto" and wanted.facts is not None:
        asked = wanted.facts.device.partition(" ")[0]
    return asked
