"""The records that travel from a runtime to the run file: what was asked, what was seen, how the run is laid out.

Standard library only, because every worker imports this inside its runtime's own environment. Frozen and
checked at construction. Times are integer nanoseconds, sizes are bytes, counts are tokens; what a runtime
does not reveal is ``None``, never 0.
"""

from results.records.asked import Capture, Draft, Encoded, EngineConfig, ModelFormat, Pair, Request, Sampling, Shapes
from results.records.common import Json
from results.records.layout import (
    BATCH_SHAPE,
    BIASED,
    CERTIFICATE,
    CONTROL,
    HEADLINE,
    INSTRUMENTED,
    MEASURED,
    PLAIN,
    SPECULATIVE,
    WARMUP,
    Cell,
    Launch,
    Phase,
    Prompt,
    Role,
    Trial,
)
from results.records.seen import (
    Arrival,
    DraftCounts,
    Failure,
    FinishReason,
    Generation,
    PlainStep,
    Round,
    ScoreKind,
    Scoring,
    SessionFacts,
    TokenScore,
)

__all__ = [
    "BATCH_SHAPE",
    "BIASED",
    "CERTIFICATE",
    "CONTROL",
    "HEADLINE",
    "INSTRUMENTED",
    "MEASURED",
    "PLAIN",
    "SPECULATIVE",
    "WARMUP",
    "Arrival",
    "Capture",
    "Cell",
    "Draft",
    "DraftCounts",
    "Encoded",
    "EngineConfig",
    "Failure",
    "FinishReason",
    "Generation",
    "Json",
    "Launch",
    "ModelFormat",
    "Pair",
    "Phase",
    "PlainStep",
    "Prompt",
    "Request",
    "Role",
    "Round",
    "Sampling",
    "ScoreKind",
    "Scoring",
    "SessionFacts",
    "Shapes",
    "TokenScore",
    "Trial",
]
