"""A measured setting as a program of its own over mlx-vlm. The standard library only.

The steps are those of `backends.mlxvlm.loading`, without its checks.
"""

from collections.abc import Sequence

from backends import fit
from backends.base import Deployment
from backends.mlxvlm import asking, view
from backends.mlxvlm.options import Options
from backends.quoting import PROMPT, Name, call, program, remark

IMPORTS = (
    "from mlx_vlm.generate import stream_generate",
    "from mlx_vlm.speculative.drafters import load_drafter",
    "from mlx_vlm.tokenizer_utils import load_tokenizer",
    "from mlx_vlm.utils import StoppingCriteria, get_model_path, load_model",
    "from transformers import AutoTokenizer",
)
TARGET = (
    "target = load_model(folder, strict=True)",
    "tokenizer = AutoTokenizer.from_pretrained(folder)",
    "tokenizer.detokenizer = load_tokenizer(folder, return_tokenizer=False)(tokenizer)",
    "tokenizer.stopping_criteria = StoppingCriteria(target.config.eos_token_id, tokenizer)",
)
DRAFTER = (
    "drafter, kind = load_drafter(str(folder))",
    "drafter.prefer_requested_block_size = True  # else a draft length above 3 is only a ceiling",
)
VIEWS = (
    "mlx-vlm drafts for multimodal checkpoints only, and reads its own names of settings: mtpbench (on PYTHONPATH) "
    "makes a copy that it can read."
)


def snippet(wanted: Deployment) -> str:
    """Raises UsageError for what the adapter refuses."""
    pair, engine, draft = wanted.pair, wanted.engine, wanted.engine.draft
    options = Options.of(engine.options)
    drafter = pair.assistant if draft is not None else None
    asked = asking.decoding(wanted.max_new_tokens, wanted.sampling, draft, options)
    viewed = any(_needs_view(model) for model in (pair.target, drafter))
    # mlx-vlm takes the default device for its stream at its import
    device = {"cpu": ["mx.set_default_device(mx.cpu)"], "auto": []}.get(
        engine.device, ["mx.set_default_device(mx.gpu)"]
    )
    lines = ["import mlx.core as mx", *device, *IMPORTS]
    lines += ["", remark(VIEWS), "from backends import fit", "from backends.mlxvlm import view"] if viewed else []
    lines += ["", *_loading(pair.target, options.revision, TARGET)]
    if drafter is not None:
        lines += _loading(drafter, options.assistant_revision, DRAFTER)
        asked["draft_model"] = Name("drafter")
    if engine.dtype in asking.DTYPES:
        models = ("target",) if drafter is None else ("target", "drafter")
        lines += [f"{model}.set_dtype(mx.{engine.dtype})" for model in models]
    lines += [f"ids = mx.array([tokenizer.encode({PROMPT!r})])"]
    lines += [
        "answer = " + call("stream_generate", Name("target"), Name("tokenizer"), "", input_ids=Name("ids"), **asked)
    ]
    lines += ["print(''.join(piece.text for piece in answer))"]
    return program(lines)


def _needs_view(model: str | None) -> bool:
    """mlx-vlm cannot read it as it is; a hub id that is not here is taken for one that it can."""
    config = None if model is None else fit.read(model)
    return config is not None and view.adapted(config) is not None


def _loading(model: str, revision: str | None, steps: Sequence[str]) -> list[str]:
    """`steps` over the model's folder, or over a view of it."""
    found = "folder = " + call("get_model_path", model, **({"revision": revision} if revision else {}))
    if not _needs_view(model):
        return [found, *steps]
    return [found, "with view.viewed(folder, fit.read(str(folder))) as folder:", *(f"    {step}" for step in steps)]
