"""``python -m workloads.training``: corpus, target, drafter, files, figures, one stage after another."""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from results.errors import UsageError
from workloads.training import corpus, tokenizer
from workloads.training.distil import distil
from workloads.training.figures import measure
from workloads.training.generate import own_text
from workloads.training.models import load_assistant, load_target
from workloads.training.optimize import Progress
from workloads.training.settings import Settings, parse
from workloads.training.stages import Stages
from workloads.training.train_target import train_target
from workloads.training.unloop import unloop
from workloads.training.write import write_figures, write_pair, write_prompts

STARTED = time.monotonic()


def say(line: str) -> None:
    """One progress line, with the minutes since the start."""
    print(f"[{(time.monotonic() - STARTED) / 60:5.1f} min] {line}", flush=True)


def make_corpus(settings: Settings, out: Path) -> None:
    """Read, split and encode the text: tokenizer.json, train.npy, held_out.npy and files.json in `out`."""
    train, held_out = corpus.split(corpus.read(settings.corpus), settings.seed)
    learnt = tokenizer.train((source.text for source in train), settings.vocab)
    out.mkdir()
    learnt.save(str(out / "tokenizer.json"))
    np.save(out / "train.npy", corpus.encode(learnt, train))
    np.save(out / "held_out.npy", corpus.encode(learnt, held_out))
    corpus.describe(out / "files.json", train, held_out)


def make_pair(settings: Settings, stages: Stages, train: corpus.Tokens) -> tuple[Path, Path]:
    """The folders of the trained target and its drafter, in float32."""
    rounds = settings.unloop_rounds

    def learn(out: Path) -> None:
        train_target(settings, train, Progress("target", settings.steps, say)).save_pretrained(out)

    def leave_loops(out: Path) -> None:
        target = load_target(first)
        unloop(target, settings, train, Progress("unlooped", rounds, say))
        target.save_pretrained(out)

    def write_text(out: Path) -> None:
        text = own_text(load_target(final), train, settings.own_sequences, settings.distil_length, settings.seed)
        np.save(out, text.numpy())

    def learn_to_draft(out: Path) -> None:
        progress = Progress("assistant", settings.distil_steps, say)
        text = torch.from_numpy(np.load(own))
        distil(settings, load_target(final), train, text, progress).save_pretrained(out)

    first = stages.make("target", learn)
    final = stages.make("unlooped", leave_loops) if rounds else first
    own = stages.make("own.npy", write_text)
    return final, stages.make("assistant", learn_to_draft)


def build(settings: Settings) -> None:
    """Make whatever OUT lacks: every stage, the pair's files, its figures."""
    torch.set_num_threads(settings.threads)
    stages = Stages(settings, say)
    texts = stages.make("corpus", lambda out: make_corpus(settings, out))
    learnt = Tokenizer.from_file(str(texts / "tokenizer.json"))
    train, held_out = np.load(texts / "train.npy"), np.load(texts / "held_out.npy")
    say(f"{len(train):,} tokens to train on, {len(held_out):,} held out")
    target_folder, assistant_folder = make_pair(settings, stages, train)

    if (settings.out / "figures.json").exists():
        say(f"{settings.out / 'figures.json'}: kept from an earlier run")
        return
    write_pair(settings.out, target_folder, assistant_folder, learnt, settings.draft_tokens)
    say(f"pair written to {settings.out}, now measured")
    target, assistant = load_target(settings.out / "target"), load_assistant(settings.out / "assistant")
    figures, prompts, greedy = measure(settings, learnt, target, assistant, held_out)
    write_prompts(settings.out, prompts, greedy)
    write_figures(settings.out, {**figures, "minutes": stages.minutes})
    say(f"figures written to {settings.out / 'figures.json'}")


if __name__ == "__main__":
    try:
        build(parse(sys.argv[1:]))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
