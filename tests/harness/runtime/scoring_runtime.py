"""The scripted runtime with a target that has logits, so that the losslessness certificate can be tried whole.

The target is a function of the text so far: it ranks the tokens of `VOCABULARY` by a hash, the best with logit 10, each
next one `STEP` less. While decoding, logits are off by up to `NOISE` from those of scoring. Greedy arms take the best
one. Options beside those of `scripted_runtime`:

    diverge   a list of {"at": position, "how": …} with the arms that do not take the best token there: "draft": k or 0,
              and where given "capture", "rows" (of the batch), "rank" (of the token taken, 1), "when": file that must
              exist. how = wrong: the target never chooses that token; replayed: it does where asked
              with all before it as one prefill; tie: its logit is as good as the best one's
    bias      above temperature 0, the share of tokens for which a speculative arm takes the best one
    scoring   a list of {"nth": of the scoring calls, from 1 (all if not given), "do": …, "once": file}: a misfortune of
              `scripted_runtime`, or `short`, `shifted`, `other`: scores that are not those asked for
    log       a file that gets a JSON line per scoring call
    score_s   real time of a scoring call
"""

import hashlib
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripted_runtime import PerRequest, Scripted, suffer

from backends.base import GREEDY, Session
from results.records import EngineConfig, Generation, Pair, Prompt, Request, Sampling, TokenScore

VOCABULARY = range(10, 26)
STEP = 0.5
NOISE = 1e-3
PROMPT = 16
"""Tokens of every prompt where `diverge` is used: whatever follows is output."""


def ranked(text: Sequence[int]) -> list[int]:
    """The tokens that may follow, the best first."""
    return sorted(VOCABULARY, key=lambda token: hashlib.sha256(bytes([*text, token])).digest())


def probabilities(logits: dict[int, float], sampling: Sampling) -> dict[int, float]:
    """Temperature applied, then top-k."""
    temperature = sampling.temperature or 1.0
    kept = sorted(logits, key=lambda token: -logits[token])[: sampling.top_k]
    weights = {token: math.exp((logits[token] - logits[kept[0]]) / temperature) for token in kept}
    return {token: weights.get(token, 0.0) / sum(weights.values()) for token in logits}


class Scoring(Scripted):
    def __init__(self, engine: EngineConfig) -> None:
        super().__init__(engine)
        self.scored = 0

    def tokens(self, prompt: Prompt, request: Request, rows: int) -> tuple[int, ...]:
        k = request.draft.length if request.draft else 0
        rng = random.Random(f"{prompt.key}/{request.sampling.seed}")
        text = [*(prompt.token_ids or ())]
        for position in range(request.max_new_tokens):
            if request.sampling.temperature > 0 and not (k and rng.random() < self.options.get("bias", 0)):
                p = probabilities(self._logits(text), request.sampling)
                text.append(rng.choices([*p], [*p.values()])[0])
                continue
            seen = {"draft": k, "capture": request.capture, "rows": rows, "prompt": prompt.key}
            seen |= {"nth": self.calls[k, request.capture], "at": position}
            rules = [
                rule for rule in self._rules() if all(rule.get(key, value) == value for key, value in seen.items())
            ]
            text.append(ranked(text)[rules[0].get("rank", 1) if rules else 0])
        return tuple(text[-request.max_new_tokens :])

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        found = super().generate(prompts, request)
        if request.capture != "rounds" or request.draft or request.sampling.temperature > 0:
            return found
        return [
            replace(row, scores=tuple(self._scores(prompt, row.token_ids or (), GREEDY, noise=NOISE)))
            for prompt, row in zip(prompts, found, strict=True)
        ]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        self.scored += 1
        if "log" in self.options:
            line = {"prompt": len(prompt.token_ids or ()), "tokens": [*continuation]}
            with Path(self.options["log"]).open("a") as log:
                log.write(json.dumps(line | {"temperature": sampling.temperature, "seed": sampling.seed}) + "\n")
        time.sleep(self.options.get("score_s", 0))
        scores = [*self._scores(prompt, continuation, sampling)]
        for rule in self.options.get("scoring", ()):
            once = Path(rule["once"]) if "once" in rule else None
            if rule.get("nth", self.scored) != self.scored or (once and once.exists()):
                continue
            if once:
                once.touch()
            match rule["do"]:
                case "short":
                    return scores[:-1]
                case "shifted":
                    return [replace(score, position=score.position + 1) for score in scores]
                case "other":
                    return [replace(score, token_id=score.token_id + 1) for score in scores]
            suffer(rule["do"])
        return scores

    # ------------------------------------------------------------------------------------------------- the target

    def _rules(self) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = self.options.get("diverge", [])
        return [rule for rule in rules if "when" not in rule or Path(rule["when"]).exists()]

    def _logits(self, text: Sequence[int], noise: float = 0.0) -> dict[int, float]:
        logits = {token: 10 - STEP * rank for rank, token in enumerate(ranked(text))}
        for rule in self._rules():
            if rule["how"] == "tie" and rule["at"] == len(text) - PROMPT:
                logits[ranked(text)[rule.get("rank", 1)]] = 10.0
        rng = random.Random(str(text))
        return {token: logit + noise * rng.uniform(-1, 1) for token, logit in logits.items()}

    def _scores(
        self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling, noise: float = 0.0
    ) -> Iterator[TokenScore]:
        for position, token in enumerate(continuation):
            text = [*(prompt.token_ids or ()), *continuation[:position]]
            logits = self._logits(text, noise)
            best = max(ranked(text), key=lambda each: logits[each])  # of equals, the one that decoding takes
            for rule in self._rules():
                if rule["how"] == "replayed" and rule["at"] == len(text) - PROMPT and len(continuation) == 1:
                    best = ranked(text)[rule.get("rank", 1)]
                    logits[best] = 11.0
            yield _score(position, token, best, logits, sampling)


def _score(position: int, token: int, best: int, logits: dict[int, float], sampling: Sampling) -> TokenScore:
    p = probabilities(logits, sampling)
    log_p = {each: math.log(share) if share else -math.inf for each, share in p.items()}
    mean = sum(share * log_p[each] for each, share in p.items() if share)
    moments = (
        -mean,
        sum(share * (log_p[each] - mean) ** 2 for each, share in p.items() if share),
        sum(share for each, share in p.items() if (-share, each) < (-p[token], token)),
    )
    known = (logits[token], logits[best], log_p[token], max(log_p.values()))
    return TokenScore(position, token, best, *known, *(moments if sampling.temperature > 0 else ()))


class Scorer(PerRequest):
    name = "scripted-scorer"
    title = "Scripted, with scores"
    capabilities = replace(PerRequest.capabilities, scores=True)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        yield Scoring(engine)


class Mute(Scorer):
    """The same target, and no scores to be had."""

    name = "scripted-mute"
    title = "Scripted, without scores"
    capabilities = PerRequest.capabilities
