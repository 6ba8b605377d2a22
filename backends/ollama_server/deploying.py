"""A measured setting as a Modelfile. Pure."""

import re
from collections.abc import Mapping

from backends.base import Deployment
from backends.ollama_server import asking
from backends.ollama_server.places import KNOWN
from backends.options import Options
from backends.quoting import remark, shell
from results.errors import UsageError
from results.records import Json

TAG = re.compile(r"[A-Za-z0-9][\w./:-]*")
NOT_TRIED = (
    "The parameters that were sent with each measured request; no Ollama could be started where this was written. "
    "Models of its MLX engine choose their draft length themselves."
)


def modelfile(wanted: Deployment) -> str:
    """Raises UsageError for what the adapter refuses, and for a tag that is none."""
    engine, draft = wanted.engine, wanted.engine.draft
    options = Options("ollama", engine.options, KNOWN)
    plain = options.text("plain_model") if draft is None else None
    tag = plain or wanted.pair.target
    if not TAG.fullmatch(tag):
        raise UsageError(f"{tag!r} is no tag of Ollama's")
    context = options.whole("num_ctx")
    parameters: Mapping[str, Json] = {
        **asking.drafting(draft),
        **asking.computing(engine.threads),
        **({} if context is None else {"num_ctx": context}),
    }
    made = f"{tag.rpartition('/')[2].partition(':')[0]}-{f'k{draft.length}' if draft else 'plain'}"
    lines = [remark(f"Modelfile, for: {shell(['ollama', 'create', made])}"), f"FROM {tag}"]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters.items()]
    if wanted.batch_size > 1:
        lines += [
            remark(f"{wanted.batch_size} requests side by side: OLLAMA_NUM_PARALLEL={wanted.batch_size} ollama serve")
        ]
    return "\n".join([*lines, remark(NOT_TRIED)])
