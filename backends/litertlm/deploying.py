"""A measured setting as a program of its own over LiteRT-LM. The standard library only."""

from backends.base import Deployment
from backends.litertlm import asking
from backends.options import Options
from backends.quoting import PROMPT, Name, call, program, remark

AS_SAMPLED = "Drafts are greedy whatever the sampler says (LiteRT-LM#3017), so the sampler is greedy too."


def snippet(wanted: Deployment) -> str:
    """Raises UsageError for what the adapter refuses."""
    engine, drafts = wanted.engine, asking.drafting(wanted.engine.draft is not None)
    options = Options("litert", engine.options, asking.OPTIONS)
    backend = asking.backend_of(engine, options)
    threads = {} if engine.threads is None else asking.computing(backend, engine.threads)
    device = Name(call(f"litert_lm.Backend.{asking.BACKENDS[backend]}", **threads))
    context = {} if (most := options.whole("max_num_tokens")) is None else {"max_num_tokens": most}
    sampler = Name(call("litert_lm.SamplerConfig", **asking.GREEDY))
    decoding = {"apply_prompt_template": False, "sampler_config": sampler, "max_output_tokens": wanted.max_new_tokens}
    lines = ["import litert_lm", ""]
    lines += [
        "engine = "
        + call("litert_lm.Engine", wanted.pair.target, backend=device, **asking.UNCACHED, **context, **drafts)
    ]
    lines += [remark(AS_SAMPLED)] if engine.draft is not None else []
    lines += ["session = " + call("engine.create_session", **decoding, **drafts)]
    lines += [call("session.run_prefill", [PROMPT])]
    lines += ["print(''.join(piece.texts[0] for piece in session.run_decode_async()))"]
    lines += ["session.close()", "engine.close()"]
    return program(lines)
