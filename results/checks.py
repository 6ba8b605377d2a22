"""Evidence against a cell: each check looks at one arm and gives a reason that names trial and figure, or None.

Of an engine's own statement two keys are read: `speculative` (false on a speculative arm, or true on a plain one,
contradicts) and `synthetic` (true: acceptance was forced; see `results.validity`).
"""

from collections.abc import Callable

import numpy as np

from results.acceptance import rounds_of_counts
from results.arm import Arm
from results.columns import ABSENT, Bools
from results.metrics import Ints

PLAIN_CHUNK = 1.1
"""Tokens per chunk after the first above which a plain arm cannot be decoding token by token. Some chunks merge on
their way (a character of several tokens)."""
CHUNK_COUNT = 0.1
"""Chunks beyond the rounds, of all rounds, above which headline and instrumented pass did not draft alike."""
ROUNDS_TO_TELL = 8
OUTPUTS_TO_TELL = 8
"""So many different outputs tell counts that include the prefill's token from last rounds that were cut by chance: an
honest engine leaves out exactly as many tokens in perhaps a third of them, and in all of 8 once in 6,000 times."""
GENERATIONS_TO_TELL = 3
"""So many generations of so many rounds tell a constant draft length from one that was shortened at the end."""

Check = Callable[[Arm], str | None]

# ------------------------------------------------------------------------------------------- of a speculative arm


def says_off(arm: Arm) -> str | None:
    """The engine itself says that it did not speculate."""
    row = _saying(arm, False)
    return None if row is None else f"{arm.trial_name(row)}: the engine says that speculation is off"


def idle(arm: Arm) -> str | None:
    """Rounds or totals are revealed, and nothing was drafted in any of them."""
    rows = arm.evidence.rows
    told = np.concatenate([arm.revealed, arm.counted])
    decoded = told[rows.n_tokens[told] > rows.n_prefill[told]]
    if not len(decoded) or arm.rounds.drafted.any() or (rows.count_drafted[decoded] > 0).any():
        return None
    return f"drafted is 0 in all {len(decoded)} generations that reveal it: the drafter is idle"


def wrong_length(arm: Arm) -> str | None:
    """A round drafted more than k, or none ever drafted k although some had room for k + 1 tokens."""
    drafted = arm.rounds.drafted
    if (row := _first(arm.rounds.row, drafted > arm.k)) is not None:
        return f"{arm.trial_name(row)}: a round drafted {drafted[drafted > arm.k][0]} tokens, but k is {arm.k}"
    had_room = arm.rounds.start + arm.k < arm.cell.output_tokens
    if had_room.any() and drafted.max() < arm.k:
        return f"the longest draft of {len(drafted)} rounds has {drafted.max()} tokens: k = {arm.k} is not obeyed"
    return None


def broken_rounds(arm: Arm) -> str | None:
    """n = n_prefill + sum emitted, and emitted = accepted + 1 but in a row's last round."""
    rows, rounds = arm.evidence.rows, arm.rounds
    wrong = (rounds.emitted != rounds.accepted + 1) & ~rounds.last
    if (row := _first(rounds.row, wrong)) is not None:
        accepted, emitted = rounds.accepted[wrong][0], rounds.emitted[wrong][0]
        return f"{arm.trial_name(row)}: a round accepted {accepted} drafts and emitted {emitted} tokens"
    emitted = np.bincount(rounds.row, weights=rounds.emitted, minlength=len(rows.ids)).astype(np.int64)
    expected = rows.n_prefill + emitted
    if (row := _first(arm.revealed, (rows.n_tokens != expected)[arm.revealed])) is not None:
        return f"{arm.trial_name(row)}: {rows.n_tokens[row]} tokens, but prefill and rounds emitted {expected[row]}"
    return None


def broken_counts(arm: Arm) -> str | None:
    """The same identities for totals, which leave open only how much of the last round was emitted."""
    rows, index, k = arm.evidence.rows, arm.counted, arm.k
    drafted, accepted = rows.count_drafted[index], rows.count_accepted[index]
    if (row := _first(index, accepted > drafted)) is not None:
        return f"{arm.trial_name(row)}: {rows.count_accepted[row]} of {rows.count_drafted[row]} drafts accepted"
    counted = (rows.count_rounds[index] != ABSENT) & (accepted != ABSENT)
    rounds = rounds_of_counts(rows, index)
    cut = accepted + rounds - (rows.n_tokens - rows.n_prefill)[index]
    if (row := _first(index, counted & ((cut < 0) | (cut > k)))) is not None:
        return (
            f"{arm.trial_name(row)}: {rows.n_tokens[row]} tokens, but {rows.n_prefill[row]} of the prefill, "
            f"{rows.count_rounds[row]} rounds and {rows.count_accepted[row]} accepted drafts"
        )
    # Where rounds are not counted, up to k tokens of the last one may be missing, and so up to k rounds.
    most = k * np.where(counted, rounds, rounds + k)
    if (row := _first(index, (accepted != ABSENT) & (drafted > most))) is not None:
        return f"{arm.trial_name(row)}: {rows.count_drafted[row]} tokens drafted, more than k = {k} a round"
    return _constant_length(drafted[counted], rounds[counted], k) or _broken_positions(arm)


def prefill_counted(arm: Arm) -> str | None:
    """Totals exceed the decoded tokens by the prefill's own in every output: they count tokens that no round emitted.

    Honest totals exceed them by what the length limit or the end of text cut from the last round, which differs.
    """
    rows = arm.evidence.rows
    told = (rows.count_rounds != ABSENT) & (rows.count_accepted != ABSENT) & (rows.n_tokens > rows.n_prefill)
    index = arm.counted[told[arm.counted]]
    beyond = (rows.count_accepted + rows.count_rounds - rows.n_tokens)[index]  # 0: exactly the prefill's tokens
    different = len(set(zip(rows.prompt[index].tolist(), rows.output[index].tolist(), strict=True)))
    if different < OUTPUTS_TO_TELL or (beyond != 0).any():
        return None
    return f"rounds and accepted drafts add up to all tokens of {different} outputs: they count the prefill's too"


def chunks_contradict(arm: Arm) -> str | None:
    """Where the instrumented pass brought no more chunks than rounds, the headline pass of the same tokens must not.

    More chunks than rounds are tokens that were not drafted. Fewer contradict nothing: a server under load sends what
    several rounds gave in one chunk, in either pass.
    """
    rows = arm.evidence.rows
    headline, instrumented = arm.both_passes
    same = rows.output[headline] == rows.output[instrumented]
    headline, instrumented = headline[same], instrumented[same]
    before_end = arm.rounds.start < rows.natural[arm.rounds.row]
    rounds = np.bincount(arm.rounds.row[before_end], minlength=len(rows.ids))[instrumented]
    chunks = np.maximum(rows.timings.chunks - 1, 0)
    if not len(headline) or (chunks[instrumented] > rounds).any():
        return None
    seen, expected = chunks[headline].sum(), rounds.sum()
    if seen - expected <= max(CHUNK_COUNT * expected, 2):
        return None
    return f"headline tokens came in {seen} chunks after the first, the same tokens took {expected} instrumented rounds"


# ------------------------------------------------------------------------------------------------ of a plain arm


def says_on(arm: Arm) -> str | None:
    """The engine itself says that it speculated."""
    row = _saying(arm, True)
    return None if row is None else f"{arm.trial_name(row)}: the engine says that speculation is on"


def drafts(arm: Arm) -> str | None:
    """It reveals drafts."""
    row = _first(arm.rounds.row, arm.rounds.drafted > 0)
    if row is None:
        row = _first(arm.rows, arm.evidence.rows.count_drafted[arm.rows] > 0)
    return None if row is None else f"{arm.trial_name(row)}: it drafted tokens"


def fewer_passes(arm: Arm) -> str | None:
    """It took fewer target passes than it emitted tokens."""
    rows, steps = arm.evidence.rows, arm.evidence.extras.steps
    for row in arm.rows.tolist():
        tokens = rows.n_tokens[row] - rows.n_prefill[row]
        if row in steps and len(steps[row]) < tokens:
            return f"{arm.trial_name(row)}: {tokens} tokens after the prefill took {len(steps[row])} target passes"
    return None


def bursts(arm: Arm) -> str | None:
    """Its tokens arrive several at a time, where the runtime says how many.

    Not where the engine itself says of an answer that it did not speculate: a server under load sends what several
    steps gave in one chunk.
    """
    timings, said = arm.evidence.rows.timings, arm.evidence.extras.said
    silent = np.array([said.get(row, {}).get("speculative") is not False for row in arm.rows.tolist()], dtype=bool)
    counted = arm.rows[silent & (timings.uncounted[arm.rows] == 0)]
    chunks = np.maximum(timings.chunks[counted] - 1, 0).sum()
    tokens = timings.decode_tokens[counted].sum()
    if tokens <= PLAIN_CHUNK * chunks:
        return None
    return f"{tokens} tokens after the first chunk came in {chunks} chunks, {tokens / chunks:.1f} at a time"


# -------------------------------------------------------------------------------------------------- of either arm


def stream_miscounts(arm: Arm) -> str | None:
    """The stream brought another number of tokens than the generation has."""
    rows = arm.evidence.rows
    wrong = (rows.timings.chunks > 0) & (rows.arrived != rows.n_tokens)
    row = _first(arm.rows, wrong[arm.rows])
    return None if row is None else f"{arm.trial_name(row)}: {rows.n_tokens[row]} tokens, {rows.arrived[row]} arrived"


def cached(arm: Arm) -> str | None:
    """A prefix cache served part of the prompt."""
    tokens = arm.evidence.rows.cached_tokens
    row = _first(arm.rows, tokens[arm.rows] > 0)
    return None if row is None else f"{arm.trial_name(row)}: {tokens[row]} prompt tokens came from a prefix cache"


OF_SPECULATIVE: tuple[Check, ...] = (
    says_off,
    idle,
    wrong_length,
    broken_rounds,
    broken_counts,
    prefill_counted,
    chunks_contradict,
)
OF_PLAIN: tuple[Check, ...] = (says_on, drafts, fewer_passes, bursts)
OF_EITHER: tuple[Check, ...] = (stream_miscounts, cached)


def prompts_differ(speculative: Arm, plain: Arm) -> str | None:
    """The two arms counted the same prompt differently."""
    rows = plain.evidence.rows
    lengths = dict(zip(rows.prompt[plain.rows].tolist(), rows.prompt_tokens[plain.rows].tolist(), strict=True))
    for row in speculative.rows.tolist():
        here, there = int(rows.prompt_tokens[row]), lengths.get(int(rows.prompt[row]), ABSENT)
        if ABSENT not in (here, there) and here != there:
            return f"{speculative.trial_name(row)}: the prompt has {here} tokens, and {there} in the plain arm"
    return None


def _first(rows: Ints, wrong: Bools) -> int | None:
    return int(rows[wrong.argmax()]) if wrong.any() else None


def _saying(arm: Arm, speculative: bool) -> int | None:
    said = arm.evidence.extras.said
    return next((row for row in arm.rows.tolist() if said.get(row, {}).get("speculative") is speculative), None)


def _constant_length(drafted: Ints, rounds: Ints, k: int) -> str | None:
    """Every generation drafted the same number of tokens a round, its last one perhaps cut, and it is not k."""
    enough = rounds >= ROUNDS_TO_TELL
    drafted, rounds = drafted[enough], rounds[enough]
    if len(rounds) < GENERATIONS_TO_TELL:
        return None
    length = int(np.ceil(drafted[0] / rounds[0]))
    if length >= k or ((drafted > length * rounds) | (drafted < length * (rounds - 1))).any():
        return None
    return f"every round drafted {length} tokens: k = {k} is not obeyed"


def _broken_positions(arm: Arm) -> str | None:
    """Accepted drafts by position add up to all accepted drafts, and there are none beyond k."""
    for row in arm.counted.tolist():
        positions, accepted = arm.evidence.extras.per_position.get(row), arm.evidence.rows.count_accepted[row]
        if positions is None or accepted == ABSENT:
            continue
        if any(positions[arm.k :]) or sum(positions) != accepted:
            return f"{arm.trial_name(row)}: {accepted} drafts accepted, by position {list(positions)}, k = {arm.k}"
    return None
