"""Do GGUF files compute what Transformers computes from the pair's folders? Asked of the real llama.cpp.

Target: the log-probabilities that llama.cpp states along its own greedy text, against Transformers' for the same
text, both in float32. A wrong weight anywhere moves them.
Drafter: the drafted text must be the plain one, and the drafts accepted per prompt those of rounds replayed from the
assistant's own folder. Nothing else tells a drafter that is fed wrongly: it changes neither text nor messages.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from results.errors import UsageError
from workloads.conversion.environments import run
from workloads.conversion.gguf import Gguf
from workloads.conversion.pair import PairFolder
from workloads.training.evaluate import replayed
from workloads.training.models import Assistant, Target, load_assistant, load_target

BOUND = 3e-3
"""Nats by which log-probabilities may differ. Measured on the demo pair: 1.4e-3, for llama.cpp looks GELU up in a table
of float16 (ggml-cpu/vec.h, GGML_GELU_FP16). Its default float16 K/V cache, switched off here, makes that 1.1e-2."""
REPLAYED = 0.75
"""Least share of prompts whose drafts are accepted exactly as replayed. Measured on the demo pair: 11 of 12; in the
twelfth one near-tie of the drafter falls the other way."""
DRAFT_LENGTH = 4
MOST_SHOWN = 4096
"""Likeliest tokens compared at each position; the demo pair's whole vocabulary is 2,048."""

SCRIPT = Path(__file__).with_name("llama.py").resolve()

Ids = list[int]


@dataclass(frozen=True, slots=True)
class Parity:
    """What was seen. Counts are of prompts unless said otherwise."""

    prompts: int
    positions: int
    """Tokens whose distributions were compared."""
    largest: float
    """Largest difference of two log-probabilities, in nats."""
    same_choice: int
    """Positions at which Transformers' likeliest token is the one that llama.cpp chose."""
    regret: float
    """Largest log-probability, in nats, that Transformers puts on its own choice beyond llama.cpp's."""
    same_text: int
    """Whose greedy text is Transformers' own, over the whole length."""
    same_drafted: int
    """Whose text with the drafter is the text without it."""
    as_replayed: int
    """Whose drafted and accepted tokens are those of replayed rounds."""
    drafted: int
    """Tokens, over all prompts."""
    accepted: int
    accepted_replayed: int

    def faults(self) -> list[str]:
        """Why the files do not compute what the pair computes; empty where they do."""
        found = []
        if not self.largest <= BOUND:
            found.append(f"target: log-probabilities differ by up to {self.largest:.2e}, more than {BOUND:.0e}")
        if not self.regret <= 2 * BOUND:
            found.append(f"target: it chose a token that Transformers puts {self.regret:.2e} below its own choice")
        if self.same_drafted < self.prompts:
            found.append(f"drafter: {self.prompts - self.same_drafted} texts of {self.prompts} change with it")
        if self.drafted == 0:
            found.append("drafter: nothing was drafted")
        elif self.as_replayed < REPLAYED * self.prompts:
            found.append(
                f"drafter: {self.as_replayed} of {self.prompts} prompts accept as many drafts as the assistant's own "
                f"folder ({self.accepted} against {self.accepted_replayed} in all)"
            )
        return found

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"log-probabilities: {self.positions} positions of {self.prompts} prompts, largest difference "
            f"{self.largest:.2e} (at most {BOUND:.0e}), same choice at {self.same_choice}",
            f"greedy text: Transformers' own in {self.same_text} of {self.prompts}, largest regret {self.regret:.2e}",
            "drafter: "
            f"text unchanged in {self.same_drafted} of {self.prompts}; {self.accepted} of {self.drafted} drafts "
            f"accepted, {self.accepted_replayed} when replayed; the same in {self.as_replayed} of {self.prompts}",
        ]


def read_prompts(file: Path) -> list[Ids]:
    """`prompt_ids` of each line of a prompts.jsonl, as the training command writes it. Raises UsageError."""
    try:
        rows = [json.loads(line)["prompt_ids"] for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no list of prompts: every line must be an object with prompt_ids") from error
    if not rows:
        raise UsageError(f"{file} holds no prompts")
    return rows


def check(
    pair: PairFolder, files: Gguf, python: Path, prompts: Sequence[Ids], log: Path, *, new: int = 96, compared: int = 24
) -> Parity:
    """python: one with xllamacpp, which prints to `log`. new: greedy tokens per prompt; the distributions of the first
    `compared` are compared. Raises UsageError where llama.cpp does not load the files.
    """
    for file in (files.target, files.drafter):
        if not file.is_file():
            raise UsageError(f"{file} does not exist; convert the pair first: python -m workloads.conversion gguf")
    target, assistant = load_target(pair.target), load_assistant(pair.assistant)
    shown = min(int(target.config.vocab_size), MOST_SHOWN)
    job = {"target": str(files.target.resolve()), "drafter": None, "k": 0, "prompts": prompts, "new": new, "shown": 0}
    told = _asked(python, log, {**job, "new": compared, "shown": shown})
    plain = _asked(python, log, job)
    drafted = _asked(python, log, {**job, "drafter": str(files.drafter.resolve()), "k": DRAFT_LENGTH})

    differences = [_difference(target, prompt, row) for prompt, row in zip(prompts, told, strict=True)]
    regrets = [_regrets(target, prompt, row["tokens"]) for prompt, row in zip(prompts, plain, strict=True)]
    rounds = [_replayed(target, assistant, prompt, row["tokens"]) for prompt, row in zip(prompts, plain, strict=True)]
    counts = [(int(row["drafted"]), int(row["accepted"])) for row in drafted]
    early = torch.cat([row[:compared] for row in regrets])
    return Parity(
        prompts=len(prompts),
        positions=len(early),
        largest=float(torch.stack(differences).max()),
        same_choice=int((early == 0).sum()),
        regret=float(torch.cat(regrets).max()),
        same_text=sum(bool((row == 0).all()) for row in regrets),
        same_drafted=sum(a["tokens"] == b["tokens"] for a, b in zip(plain, drafted, strict=True)),
        as_replayed=sum(a == b for a, b in zip(counts, rounds, strict=True)),
        drafted=sum(n for n, _ in counts),
        accepted=sum(n for _, n in counts),
        accepted_replayed=sum(n for _, n in rounds),
    )


def _asked(python: Path, log: Path, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """llama.cpp's answers, one per prompt."""
    with TemporaryDirectory(prefix="mtpbench-parity-") as folder:
        out = Path(folder) / "answers.jsonl"
        command = [str(python), "-P", str(SCRIPT)]  # -P: the script's folder must not hide a package
        run(command, log, "llama.cpp", given=json.dumps({**job, "out": str(out)}))
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


@torch.no_grad()
def _logprobs(target: Target, prompt: Ids, tokens: Ids) -> Tensor:
    """[tokens, vocab]: Transformers' log-probabilities at each of `tokens`, given those before it."""
    logits: Tensor = target(torch.tensor([[*prompt, *tokens]]), use_cache=False).logits
    return logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)


def _difference(target: Target, prompt: Ids, told: Mapping[str, Any]) -> Tensor:
    """Largest one of a prompt; NaN where llama.cpp stated no number."""
    stated = torch.tensor([[torch.nan if value is None else value for value in row] for row in told["logprobs"]])
    ours = _logprobs(target, prompt, told["tokens"]).gather(-1, torch.tensor(told["ids"]))
    return (stated - ours).abs().max()


def _regrets(target: Target, prompt: Ids, tokens: Ids) -> Tensor:
    """[tokens]: by how much Transformers' log-probability of its own choice exceeds the token's; 0 where it is that."""
    logprobs = _logprobs(target, prompt, tokens)
    return logprobs.max(-1).values - logprobs.gather(-1, torch.tensor(tokens)[:, None])[:, 0]


def _replayed(target: Target, assistant: Assistant, prompt: Ids, tokens: Ids) -> tuple[int, int]:
    """(drafted, accepted) of one text's rounds, K/V of rejected drafts left out as llama.cpp leaves it out."""
    rounds = replayed(target, assistant, prompt, tokens, DRAFT_LENGTH)
    return sum(n for n, _ in rounds), sum(n for _, n in rounds)
