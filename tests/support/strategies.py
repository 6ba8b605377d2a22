"""Every record the run file holds, as hypothesis draws it."""

from itertools import accumulate

from hypothesis import strategies as st

from results.records import (
    Arrival,
    Cell,
    Draft,
    DraftCounts,
    EngineConfig,
    Failure,
    Generation,
    Launch,
    PlainStep,
    Prompt,
    Round,
    Sampling,
    SessionFacts,
    TokenScore,
    Trial,
)

counts = st.integers(0, 2**31 - 1)
durations = st.integers(0, 10**15)
moments = st.integers(0, 2**62)
texts = st.text(max_size=20)
names = st.text(min_size=1, max_size=12)
token_ids = st.lists(st.integers(0, 2**31 - 1), max_size=8).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
statements = st.dictionaries(texts, json_values, max_size=3)
drafts = st.builds(Draft, names, st.integers(1, 64))
failures = st.builds(Failure, st.sampled_from(("crash", "timeout", "oom", "refused", "error")), texts, texts)

samplings = st.builds(
    Sampling,
    temperature=st.floats(0, 1e6),
    top_k=st.none() | st.integers(1, 2**31),
    top_p=st.none() | st.floats(0, 1, exclude_min=True),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
engines = st.builds(
    EngineConfig,
    dtype=names,
    device=names,
    threads=st.none() | counts,
    max_context=st.none() | counts,
    methods=st.lists(names, max_size=3).map(tuple),
    draft=st.none() | drafts,
    options=statements,
    trust_remote_code=st.booleans(),
)
facts = st.builds(
    SessionFacts,
    versions=st.dictionaries(names, texts, max_size=3),
    device=names,
    dtype=names,
    eos_token_ids=token_ids,
    context_limit=st.none() | counts,
    vocab_size=st.none() | counts,
    threads=st.none() | counts,
    target_bytes=st.none() | durations,
    drafter_bytes=st.none() | durations,
    chat_template=st.booleans(),
    files=st.dictionaries(names, texts, max_size=3),
    statement=statements,
)
launches = st.builds(Launch, names, names, engines, moments, st.none() | facts, texts, st.none() | failures)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """A cell of any role; only speculative ones have a draft."""
    role = draw(st.sampled_from(("plain", "control", "speculative", "batch-shape", "biased")))
    return Cell(
        group=draw(counts),
        role=role,
        backend=draw(names),
        pair=draw(names),
        draft=draw(drafts) if role == "speculative" else None,
        batch_size=draw(st.integers(1, 65536)),
        prompt_tokens=draw(st.none() | counts),
        output_tokens=draw(counts),
        sampling=draw(samplings),
        dtype=draw(names),
        device=draw(names),
        synthetic=draw(st.booleans()),
        skipped=draw(st.none() | texts),
    )


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """A prompt of ids, of text, or both."""
    ids = draw(st.none() | token_ids.filter(bool))
    text = draw(texts) if ids is None else draw(st.none() | texts)
    return Prompt(draw(names), draw(names), draw(names), ids, text, draw(st.booleans()))


trials = st.builds(
    Trial,
    cell_id=st.just(1),
    launch_id=st.just(1),
    unit=counts,
    repeat=counts,
    half=st.sampled_from((0, 1)),
    phase=st.sampled_from(("warmup", "headline", "instrumented", "certificate")),
    started_unix_ns=moments,
    wall_ns=durations,
    cpu_ns=st.none() | durations,
    failure=st.none() | failures,
    flags=st.lists(texts, max_size=3).map(tuple),
)


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    """A verify step that keeps the identities."""
    drafted = draw(st.integers(0, 64))
    accepted = draw(st.integers(0, drafted))
    times = [draw(st.none() | durations) for _ in range(3)]
    return Round(drafted, accepted, draw(st.integers(0, accepted + 1)), *times)


@st.composite
def scores(draw: st.DrawFn) -> tuple[TokenScore, ...]:
    """Scores of tokens that follow each other; each number revealed or not."""
    start = draw(counts)
    number = st.none() | st.floats(allow_nan=False)
    found = []
    for position in range(start, start + draw(st.integers(1, 4))):
        low, high = sorted(draw(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
        logits = draw(st.sampled_from(((low, high), (None, high), (None, None))))
        found.append(TokenScore(position, draw(counts), draw(counts), *logits, *(draw(number) for _ in range(5))))
    return tuple(found)


@st.composite
def generations(draw: st.DrawFn) -> Generation:
    """What a row gave, with each part revealed or not."""
    ids = draw(st.none() | token_ids)
    steps = st.lists(st.builds(PlainStep, durations, durations), max_size=4).map(tuple)
    revealed = st.builds(
        DraftCounts, st.none() | counts, st.none() | counts, st.none() | counts, st.none() | token_ids
    ).filter(lambda known: known != DraftCounts(None, None, None))
    gaps = draw(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 9)), max_size=5))
    times = accumulate(ns for ns, _ in gaps)
    tokens = accumulate(n for _, n in gaps)
    return Generation(
        n_tokens=draw(counts) if ids is None else len(ids),
        token_ids=ids,
        text=draw(texts) if ids is None else draw(st.none() | texts),
        arrivals=tuple(Arrival(ns, n) for ns, n in zip(times, tokens, strict=True)),
        n_prefill=draw(counts),
        prompt_tokens=draw(st.none() | counts),
        rounds=draw(st.none() | st.lists(rounds(), max_size=4).map(tuple)),
        counts=draw(st.none() | revealed),
        steps=draw(st.none() | steps),
        scores=draw(st.none() | scores()),
        finish_reason=draw(st.sampled_from((None, "length", "stop", "cancelled"))),
        cached_tokens=draw(st.none() | counts),
        peak_memory_bytes=draw(st.none() | durations),
        statement=draw(statements),
    )
