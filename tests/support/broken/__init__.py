"""Deliberately broken engines: the real one on the demo pair, made to misbehave, so that checks can be seen to fail.

    session.py    what every engine here is: a `Session` over the real one, which may remember what greedy calls gave
    passes.py     where a fault gets at the real engine: its target's passes, its candidate generator
    greedy.py     faults in verification, positions, caches: the tokens are wrong
    sampled.py    engines at T > 0: two correct ones, and faults
    telling.py    faults in what an engine does or tells around correct tokens: idle, other lengths, counters, streams
    catalogue.py  all of them, with the names under which the table in docs/method.md lists them
    inprocess.py  runs the real harness over such a session, without a process per run
    runs.py       one seeded run of an engine, and the checks that flagged it
    suite.py      a hundred runs of every engine, counted
    reference.py, reference_runs.py
                  faults in the reference engine, where a batch is decoded as one, and runs of them
    page.py       the table of it in docs/method.md

A fault is drawn from (seed, prompt) alone, so that a seeded engine does the same in every pass over a prompt, and what
was decoded once need not be decoded again: that is how a hundred runs of every engine take minutes.
"""
