"""mtpbench's own engine over Transformers' Gemma 4 modules: batched MTP decoding with everything visible.

What a round is made of is in `steps` (draft, verify), what a batch carries from round to round in `rows` and `cache`,
the rules of acceptance in `verdict`, how steps are executed in `paths`. These modules import PyTorch, so they are
imported once an engine opens.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

from backends import fit, transformers
from backends.base import Availability, Backend, Capabilities, Deployment, Session
from backends.quoting import remark, shell
from results.records import EngineConfig, Json, Pair

METHODS = ("mtp", "mtp-full-softmax", "mtp-no-activations", "mtp-own-prefill", "mtp-own-embeddings")
"""MTP as it is, and without one of its parts each (`--ablate`)."""
MEASURES_ONLY = "A measuring engine, not a server: deploy what it shows with one of the other runtimes."

NOTES = (
    "the drafter sees no rejected draft's keys and values; Transformers' does: -o reference.rejected_kv=visible",
    "a round always drafts its full length; what lies beyond the end of a text is thrown away",
)


class Adapter(Backend):
    name = "reference"
    title = "mtpbench reference engine"
    capabilities = Capabilities(
        methods=METHODS,
        max_batch_plain=None,
        max_batch_speculative=None,
        draft_change="per-request",
        reveals="rounds",
        token_ids_in=True,
        token_ids_out=True,
        sampling=True,
        scores=True,
        captures=("timing", "rounds"),
        formats=("hf", "shapes"),
        concurrency="closed-loop",
        notes=NOTES,
    )
    measures_only = MEASURES_ONLY

    def probe(self) -> Availability:
        """Whatever Transformers needs, the same modules being used."""
        return transformers.Adapter().probe()

    def refused_lengths(self, lengths: Sequence[int], options: Mapping[str, Json]) -> Mapping[int, str]:
        """Those that cannot give the acceptance which is forced."""
        if find_spec("yaml") is None:  # then the engine runs under another interpreter, which will say so
            return {}
        from backends.reference import synthetic

        return synthetic.beyond_reach(options, lengths)

    def deployment(self, wanted: Deployment) -> str:
        """The command that measures it again: nobody serves with this engine."""
        engine, draft = wanted.engine, wanted.engine.draft
        words = ["mtpbench", "run", "-b", self.name, "-m", wanted.pair.name, "-B", str(wanted.batch_size)]
        words += [] if draft is None else ["--method", draft.method, "-k", str(draft.length)]
        words += ["--dtype", engine.dtype, "--device", engine.device]
        words += [] if engine.threads is None else ["--threads", str(engine.threads)]
        for name, value in engine.options.items():
            words += ["-o", f"{self.name}.{name}={value if isinstance(value, str) else json.dumps(value)}"]
        return f"{shell(words)}\n{remark(MEASURES_ONLY)}"

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Loads the target, and the assistant where a method drafts."""
        from backends.hf.loading import loaded
        from backends.reference import attention, memory, paths, settings
        from backends.reference.session import ReferenceSession

        own = settings.read(engine.options)
        for method in engine.methods:
            settings.refuse_method(method)
        methods = ("mtp",) if engine.methods else ()
        fit.check(pair, methods)
        memory.check(pair, engine)
        with loaded(pair, replace(engine, methods=methods, options=own.loading)) as models:
            paths.check(own.path, models.target, models.device)
            facts = replace(models.facts, statement={**models.facts.statement, "attention": attention.NAME})
            session = ReferenceSession(replace(models, facts=facts), engine, own)
            try:
                yield session
            finally:
                session.release()
