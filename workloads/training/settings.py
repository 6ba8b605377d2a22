"""Every choice of a training run, with its default: the command line is made from this."""

import argparse
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from results.errors import UsageError
from workloads.training.tokenizer import LEAST_VOCABULARY

LARGEST_VOCABULARY = 1 << 16


def _option(default: int, text: str, quick: int | None = None, least: int = 1) -> Any:
    """A field with its help text, its least value and, where the smoke pair uses another one, that."""
    return field(default=default, metadata={"help": text, "quick": quick, "least": least})


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of the command. Lengths are tokens, sizes are widths, steps are optimizer steps."""

    out: Path
    corpus: tuple[Path, ...] = ()
    """Folders of text; empty means the running interpreter's own standard library and documentation."""
    seed: int = _option(0, "seed of the file split, the initial weights and every batch", least=0)
    threads: int = _option(1, "CPU threads; more than one rarely pays for so small a model")

    vocab: int = _option(2048, "vocabulary size, byte fallback included", quick=512, least=LEAST_VOCABULARY)
    layers: int = _option(20, "layers of the target, a multiple of 4 (3 sliding : 1 full)", quick=4)
    hidden: int = _option(128, "hidden size of the target", quick=32)
    mlp: int = _option(384, "MLP width of target and drafter", quick=64)
    heads: int = _option(4, "query heads of target and drafter (one K/V head)", quick=2)
    head_dim: int = _option(32, "head size, shared because the drafter reads the target's K/V", quick=16)
    window: int = _option(128, "sliding window", quick=32)
    context: int = _option(2048, "longest context the configuration promises")
    drafter_hidden: int = _option(96, "hidden size of the drafter, at most the target's", quick=24)
    drafter_layers: int = _option(2, "layers of the drafter: 1 (full) or 2 (sliding, full)")

    steps: int = _option(3000, "optimizer steps of the target", quick=60)
    batch: int = _option(8, "sequences per step of the target", quick=4)
    length: int = _option(256, "tokens per sequence of the target", quick=64, least=32)
    unloop_rounds: int = _option(60, "rounds of unlikelihood training against loops; 0 for none", quick=2, least=0)

    own_sequences: int = _option(704, "sequences the target writes for the drafter to learn from", quick=16, least=2)
    distil_steps: int = _option(2300, "optimizer steps of the drafter", quick=30)
    distil_batch: int = _option(6, "sequences per step of the drafter, two thirds of them the target's own")
    distil_length: int = _option(192, "tokens per sequence of the drafter", quick=64)
    unroll: int = _option(5, "draft steps trained per position")

    draft_tokens: int = _option(4, "draft length written into the drafter's generation_config.json")
    prompts: int = _option(12, "held-out prompts of the evaluation", quick=2)
    prompt_tokens: int = _option(64, "tokens per prompt", quick=16)
    new_tokens: int = _option(96, "tokens generated per prompt", quick=24)

    def __post_init__(self) -> None:
        for option in _options():
            least = option.metadata["least"]
            if getattr(self, option.name) < least:
                raise UsageError(f"{_flag(option)} {getattr(self, option.name)} must be at least {least}")
        if self.vocab > LARGEST_VOCABULARY:
            raise UsageError(f"--vocab {self.vocab} must be at most {LARGEST_VOCABULARY}, so that a token is two bytes")
        if self.layers < 4 or self.layers % 4:
            raise UsageError(f"--layers {self.layers} is not a multiple of 4 (three sliding layers, then a full one)")
        if self.drafter_hidden > self.hidden:
            raise UsageError(f"--drafter-hidden {self.drafter_hidden} must be at most {self.hidden}, the target's size")
        if self.drafter_layers not in (1, 2):
            raise UsageError(f"--drafter-layers {self.drafter_layers} must be 1 (full) or 2 (sliding, full)")
        if self.unroll >= self.distil_length:
            raise UsageError(f"--unroll {self.unroll} must be below --distil-length {self.distil_length}")
        if self.prompt_tokens + self.new_tokens > self.context:
            raise UsageError(
                f"--prompt-tokens {self.prompt_tokens} and --new-tokens {self.new_tokens} "
                f"exceed --context {self.context} together"
            )


def _options() -> list[Field[Any]]:
    return [option for option in fields(Settings) if "help" in option.metadata]


def _flag(option: Field[Any]) -> str:
    return "--" + option.name.replace("_", "-")


def parse(argv: Sequence[str]) -> Settings:
    """The settings of a command line; argparse prints its own usage errors, the rest is `UsageError`."""
    parser = argparse.ArgumentParser(
        prog="python -m workloads.training",
        description="Train a small Gemma 4 target, distil its MTP drafter, evaluate and write the pair.",
        epilog="A stage whose output exists is not repeated: remove it from OUT/stages to redo it.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to, made if needed")
    parser.add_argument("--corpus", type=Path, nargs="+", default=(), help="folders of text to learn from")
    parser.add_argument("--quick", action="store_true", help="a tiny smoke pair in well under a minute")
    for option in _options():
        parser.add_argument(_flag(option), type=int, help=f"{option.metadata['help']} ({option.default})")
    args = parser.parse_args(argv)
    chosen = {o.name: o.metadata["quick"] for o in _options() if args.quick and o.metadata["quick"] is not None}
    chosen |= {o.name: getattr(args, o.name) for o in _options() if getattr(args, o.name) is not None}
    return Settings(out=args.out, corpus=tuple(args.corpus), **chosen)
