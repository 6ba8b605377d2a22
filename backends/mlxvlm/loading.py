"""From a pair and engine settings to models that mlx-vlm has loaded, and what a session knows about itself.

Loading is strict: a tensor that is missing, left over or of another shape is an error, and so is a part of a model
that mlx-vlm dropped for want of weights. What mlx-vlm understood of a config is compared with what Transformers does.
"""

import gc
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_vlm.speculative.drafters import load_drafter, validate_drafter_compatibility
from mlx_vlm.tokenizer_utils import load_tokenizer
from mlx_vlm.utils import StoppingCriteria, get_model_path, load_model
from transformers import AutoConfig, AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from backends import fingerprint, fit
from backends.installed import versions as versions_of
from backends.mlxvlm import asking, device, view
from backends.mlxvlm.options import Options
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair, SessionFacts

DTYPES: Mapping[str, Any] = {name: getattr(mx, name) for name in asking.DTYPES}

Model = Any
"""An `mlx.nn.Module` of mlx-vlm's; its own types do not say more."""

PACKAGES = ("mlx", "mlx-vlm", "mlx-lm", "transformers", "tokenizers", "huggingface_hub")
PARTS = ("model", "pre_projection", "post_projection")
"""Of an MTP drafter; mlx-vlm drops a part without weights and says so in a log only."""


@dataclass(frozen=True, slots=True)
class Models:
    """A pair that is up."""

    target: Model
    drafter: Model | None
    tokenizer: PreTrainedTokenizerBase
    """With the `detokenizer` and `stopping_criteria` that mlx-vlm asks it for."""
    methods: tuple[str, ...]
    """Draft methods the pair was loaded for."""
    options: Options
    facts: SessionFacts


@contextmanager
def loaded(pair: Pair, engine: EngineConfig, options: Options) -> Iterator[Models]:
    """The models of `pair` on the default device. Raises UsageError, in one line, for everything a user can mend."""
    threads = _threads(engine.threads)
    try:
        yield _load(pair, engine, options, threads)
    finally:
        gc.collect()
        mx.clear_cache()


def _threads(asked: int | None) -> int | None:
    """Threads that compute: one per stream on Linux' CPU (plain BLAS); None where MLX does not say."""
    if mx.default_device().type == mx.gpu or platform.system() != "Linux":
        return None
    if asked not in (None, 1):
        raise UsageError(f"MLX computes on one CPU thread here, not on {asked}; leave the number of threads out")
    return 1


# ----------------------------------------------------------------------------------------------- loading


def _load(pair: Pair, engine: EngineConfig, options: Options, threads: int | None) -> Models:
    if engine.dtype not in ("auto", *DTYPES):
        raise UsageError(f"dtype {engine.dtype!r} is none that MLX takes; choose auto, {', '.join(DTYPES)}")
    assistant_name = pair.assistant if "mtp" in engine.methods else None
    folder = _folder(pair.target, options.revision)
    config = _config(folder)
    assistant = None if assistant_name is None else _folder(assistant_name, options.assistant_revision)
    assistant_config = None if assistant is None else _config(assistant)
    fit.refuse(pair, engine.methods, config, assistant_config)
    _refuse(config, assistant_config, engine.dtype)

    with view.viewed(folder, config) as readable, _one_line(pair.target):
        target: Model = load_model(readable, strict=True)
        agree(readable, target.language_model.config)
        tokenizer = AutoTokenizer.from_pretrained(readable, trust_remote_code=engine.trust_remote_code)
        _equip(tokenizer, readable, target)
    _cast(target, engine.dtype)
    drafter = None
    if assistant is not None and assistant_config is not None and assistant_name is not None:
        with view.viewed(assistant, assistant_config) as readable, _one_line(assistant_name):
            drafter = _drafter(readable, target)
        _cast(drafter, engine.dtype)
    facts = _facts(folder, assistant, target, drafter, tokenizer, threads)
    return Models(target, drafter, tokenizer, engine.methods, options, facts)


def _folder(name: str, revision: str | None) -> Path:
    local = Path(name).expanduser()
    with _one_line(name):
        return local if local.is_dir() else Path(get_model_path(name, revision=revision))


def _config(folder: Path) -> fit.Config:
    config = fit.read(str(folder))
    assert config is not None  # it is a folder
    return config


def _refuse(config: fit.Config, assistant: fit.Config | None, dtype: str) -> None:
    """What would fail only in the middle of a generation."""
    text = config.get("text_config") or config
    stored = str(text.get("dtype") or config.get("dtype") or text.get("torch_dtype") or config.get("torch_dtype"))
    computed = stored if dtype == "auto" else dtype
    if text.get("enable_moe_block") and computed != "float32" and mx.default_device().type == mx.cpu:
        raise UsageError("MLX multiplies experts on a CPU in float32 only; ask for --dtype float32")
    if assistant is not None and assistant.get("use_ordered_embeddings") and "quantization" in assistant:
        raise UsageError("mlx-vlm cannot draft with a quantised edge assistant; name the unquantised one")


def _equip(tokenizer: Any, folder: Path, target: Model) -> None:
    """What mlx-vlm's own loader gives a processor, without the processor: images need packages that text does not."""
    tokenizer.detokenizer = load_tokenizer(folder, return_tokenizer=False)(tokenizer)
    tokenizer.stopping_criteria = StoppingCriteria(target.config.eos_token_id, tokenizer)


def _drafter(folder: Path, target: Model) -> Model:
    drafter, kind = load_drafter(str(folder))
    if kind != "mtp":
        raise UsageError(f"mlx-vlm takes {folder} for a {kind} drafter, not for an MTP one")
    agree(folder, drafter.config.text_config)
    if dropped := [name for name in PARTS if getattr(drafter, name, None) is None]:
        raise UsageError(f"the drafter has no weights for {', '.join(dropped)}; fetch it again")
    validate_drafter_compatibility(target, drafter, kind)
    # Without this, a draft length above 3 is only a ceiling, which the drafter's own acceptance may lower.
    drafter.prefer_requested_block_size = True
    return drafter


def agree(folder: Path, understood: Any) -> None:
    """Raises UsageError where mlx-vlm understood a text config otherwise than Transformers does.

    mlx-vlm fills every setting that a config.json does not name with the default of one published model. Fields that
    Transformers does not know (or keeps per layer) are left to the shapes of the weights.
    """
    expected = AutoConfig.from_pretrained(folder).get_text_config()
    # Where layers differ, in their numbers of heads say, Transformers 5.24 wants this before it tells the common value.
    expected.allow_global_per_layer_attribute_access = True
    for name in (field.name for field in fields(understood) if hasattr(expected, field.name)):
        mine, theirs = getattr(understood, name), getattr(expected, name)
        if mine == theirs:
            continue
        raise UsageError(f"mlx-vlm takes {name} = {mine!r} where Transformers takes {theirs!r}; name it in config.json")


def _cast(model: Model, dtype: str) -> None:
    if dtype != "auto":
        model.set_dtype(DTYPES[dtype])
    mx.eval(model.parameters())


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What loading says about missing files, no network or damaged weights, as a UsageError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        said = " ".join(str(error).split())[:400].rstrip(".") or type(error).__name__
        elsewhere = isinstance(error, OSError) and not Path(name).expanduser().is_dir()
        advice = "; give a local folder, or a hub id that is downloaded or reachable" if elsewhere else ""
        raise UsageError(f"cannot load {name}: {said}{advice}") from error


# ------------------------------------------------------------------------------------------------- facts


def _facts(
    folder: Path,
    assistant: Path | None,
    target: Model,
    drafter: Model | None,
    tokenizer: Any,
    threads: int | None,
) -> SessionFacts:
    text = target.language_model.config
    statement: dict[str, Json] = {
        "target_class": f"{type(target).__module__.removeprefix('mlx_vlm.models.')}.{type(target).__name__}",
        "tokenizer_class": type(tokenizer).__name__,
        "device_info": {key: _plain(value) for key, value in mx.device_info().items()},
    }
    files = fingerprint.of_model(folder, "target")
    if drafter is not None and assistant is not None:
        files |= fingerprint.of_model(assistant, "drafter")
        statement["assistant_class"] = type(drafter).__name__
    return SessionFacts(
        versions={"python": platform.python_version(), **versions_of(PACKAGES)},
        device=device.name(),
        dtype=str(target.language_model.model.embed_tokens(mx.array([0])).dtype).removeprefix("mlx.core."),
        eos_token_ids=tuple(tokenizer.stopping_criteria.eos_token_ids),
        context_limit=text.max_position_embeddings,
        vocab_size=text.vocab_size,
        threads=threads,
        target_bytes=_bytes(target),
        drafter_bytes=None if drafter is None else _bytes(drafter),
        chat_template=getattr(tokenizer, "chat_template", None) is not None,
        files=files,
        statement=statement,
    )


def _plain(value: object) -> Json:
    return value if isinstance(value, str | int | float) else str(value)


def _bytes(model: Model) -> int:
    """Memory of the parameters; tied ones count once."""
    return sum({id(array): array.nbytes for _, array in tree_flatten(model.parameters())}.values())
