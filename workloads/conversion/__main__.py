"""``python -m workloads.conversion``: a pair as GGUF or as a LiteRT-LM bundle, and whether GGUF computes the same."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from results.errors import UsageError
from workloads.conversion import gguf, litert, parity
from workloads.conversion.environments import (
    RUN_GGUF,
    TO_GGUF,
    TO_LITERT,
    Recipe,
    checked_tree,
    converter_tree,
    python_of,
)
from workloads.conversion.pair import PairFolder, read

WORK = Path("build/conversion")


def say(line: str) -> None:
    """One progress line."""
    print(line, flush=True)


def _python(args: argparse.Namespace, recipe: Recipe) -> Path:
    """The user's own interpreter, or that of the pinned environment."""
    own: Path | None = args.python
    return own.expanduser().absolute() if own else python_of(recipe, args.work, say)


def to_gguf(pair: PairFolder, args: argparse.Namespace) -> int:
    """The two files in --out."""
    tree = checked_tree(args.tree) if args.tree else converter_tree(args.work, say)
    made = gguf.convert(pair, args.out, tree, _python(args, TO_GGUF), say)
    say(f"{made.target} and {made.drafter}")
    return 0


def to_litert(pair: PairFolder, args: argparse.Namespace) -> int:
    """The bundle in --out."""
    python = _python(args, TO_LITERT)
    made = litert.convert(pair, args.out, python, say, draft_tokens=args.draft_tokens, context=args.context)
    say(str(made))
    return 0


def check(pair: PairFolder, args: argparse.Namespace) -> int:
    """1 where the files do not compute what the pair computes."""
    prompts = parity.read_prompts(args.prompts or args.pair / "prompts.jsonl")
    torch.set_num_threads(1)
    seen = parity.check(pair, gguf.files_in(args.gguf), _python(args, RUN_GGUF), prompts, args.work / "llama.log")
    for line in seen.lines():
        say(line)
    for fault in seen.faults():
        print(f"wrong: {fault}", file=sys.stderr)
    return 1 if seen.faults() else 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked; `act` is the function above that does it."""
    parser = argparse.ArgumentParser(prog="python -m workloads.conversion", description=__doc__)
    acts = parser.add_subparsers(required=True, metavar="gguf | litert | check")
    for name, act, text, own in (
        ("gguf", to_gguf, "target and drafter for llama.cpp, float32", "the converter's packages"),
        ("litert", to_litert, "one bundle with an MTP section for LiteRT-LM, float32", "litert-torch"),
        ("check", check, "whether GGUF files compute what the pair computes, by the real llama.cpp", "xllamacpp"),
    ):
        one = acts.add_parser(name, help=text, description=text)
        one.set_defaults(act=act)
        one.add_argument("--pair", type=Path, required=True, help="folder that holds target/ and assistant/")
        one.add_argument("--work", type=Path, default=WORK, help=f"environments and sources, made once ({WORK})")
        one.add_argument("--python", type=Path, help=f"an interpreter with {own}, instead of a pinned environment")
        if name == "check":
            one.add_argument("--gguf", type=Path, required=True, help="folder that holds the converted files")
            one.add_argument("--prompts", type=Path, help="lines with prompt_ids (PAIR/prompts.jsonl)")
            continue
        one.add_argument("--out", type=Path, required=True, help="folder to write to, made if needed")
        if name == "gguf":
            one.add_argument("--tree", type=Path, help="llama.cpp's sources, unpacked, instead of the pinned ones")
        else:
            one.add_argument("--draft-tokens", type=int, default=4, help="drafts per round, baked in (4)")
            one.add_argument("--context", type=int, default=512, help="tokens of the cache, baked in (512)")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """The exit code: 0, 1 for files that are wrong."""
    args = parse(argv)
    act: int = args.act(read(args.pair), args)
    return act


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
