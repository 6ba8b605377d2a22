"""One call of an engine: the reply, or why there is none, and what else the machine did meanwhile."""

import time
from dataclasses import dataclass, replace

from backends.protocol import Generate, Score
from harness.client import CallFailed
from harness.fleet import Running
from harness.order import Call, sampling_seed
from harness.plan import Group
from harness.sweep import Sweep
from harness.telemetry import Reading
from results.records import INSTRUMENTED, Failure, Generation, Prompt, Request, Sampling, TokenScore


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call."""

    generations: tuple[Generation, ...]
    """One per prompt; none where it failed."""
    started_unix_ns: int
    wall_ns: int
    cpu_ns: int | None
    reading: Reading
    failure: Failure | None = None
    worker_lost: bool = False


def request(sweep: Sweep, group: Group, step: Call, unit: int, repeat: int) -> Request:
    """What a call asks for: the arm, instruments or none, and a seed of its own where it samples."""
    sampling = step.arm.cell.sampling
    looping = group.closed_loop and group.rows > 1
    if sampling.temperature > 0:
        sampling = replace(sampling, seed=sampling_seed(sweep.seed, group, unit, repeat, step))
    return Request(
        max_new_tokens=sweep.output_tokens,
        draft=step.arm.cell.draft,
        sampling=sampling,
        ignore_eos=sweep.ignore_eos,
        capture=step.arm.capture if step.phase == INSTRUMENTED else "timing",
        in_flight=step.arm.cell.batch_size if looping else None,
        staggered=group.cell.batch_size if looping else 0,  # the same outputs in every arm, whatever its own batch size
    )


def call(running: Running, prompts: tuple[Prompt, ...], request: Request, timeout_s: float) -> Answer:
    """Decode one batch. The worker's own clock counts; of a call that failed, ours."""
    started, clock = time.time_ns(), time.perf_counter_ns()
    running.monitor.begin()
    try:
        reply = running.worker.ask(Generate(prompts, request), timeout_s)
    except CallFailed as error:
        wall = time.perf_counter_ns() - clock
        return Answer((), started, wall, None, running.monitor.end(), error.failure, worker_lost=not error.alive)
    reading = running.monitor.end()
    if len(reply.generations) != len(prompts):
        failure = Failure(
            "error", f"{len(prompts)} prompts were sent and {len(reply.generations)} generations came back"
        )
        return Answer((), reply.started_unix_ns, reply.wall_ns, reply.cpu_ns, reading, failure)
    return Answer(reply.generations, reply.started_unix_ns, reply.wall_ns, reply.cpu_ns, reading)


def forced(
    running: Running, prompt: Prompt, tokens: tuple[int, ...], sampling: Sampling, timeout_s: float
) -> tuple[TokenScore, ...]:
    """The undrafted target's scores of these tokens after the prompt. Raises CallFailed, also where they are others."""
    scores = running.worker.ask(Score(prompt, tokens, replace(sampling, seed=None)), timeout_s)
    if [(score.position, score.token_id) for score in scores] != [*enumerate(tokens)]:
        wrong = f"{len(tokens)} tokens were to be scored, {len(scores)} scores came back"
        if len(scores) == len(tokens):
            wrong = "the scores that came back are not those of the tokens that were sent"
        raise CallFailed(Failure("error", wrong), alive=True)
    return scores


def refused(why: str) -> Answer:
    """A call that was not made."""
    return Answer((), time.time_ns(), 0, None, Reading({}, ()), Failure("refused", why))
