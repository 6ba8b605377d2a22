"""Published statements as records: what they are about, and what would have to be measured to bear them out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from results.errors import UsageError

Metric = Literal[
    "speed-up",
    "identical output",
    "gain at the largest batch over batch 1",
    "cost of a wider verification",
    "best draft length",
]
LARGEST_FILE = 2**20
"""Bytes of a file of claims that are read."""


def _pair_of_ends(value: JsonValue) -> JsonValue:
    return [value, value] if isinstance(value, int) else value


def _in_order(ends: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= ends[0] <= ends[1]:
        raise ValueError("expected the smallest and the largest, in this order and at least 1")
    return ends


Ends = Annotated[tuple[int, int], BeforeValidator(_pair_of_ends), AfterValidator(_in_order)]
"""Smallest and largest; in JSON one number stands for both."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scope(_Strict):
    """What a statement is about. What is left out is not stated, and does not restrict what it is compared with."""

    pairs: tuple[str, ...] = ()
    """Any of these names stands in the pair's name as a whole: `gemma-4-31B`, or `gemma-4` for the whole family."""
    weights: tuple[str, ...] = ()
    """Any of these stands in the pair's name or dtype: `FP8`."""
    method: str | None = None
    """How drafts are made."""
    runtimes: tuple[str, ...] = ()
    """Names as `mtpbench backends` has them."""
    hardware: tuple[str, ...] = ()
    """Any of these stands in the name of the accelerator, or of the processor; `*` is any ending of a word."""
    device: str | None = None
    """Part of a machine: `gpu` or `cpu`."""
    gpus: int | None = Field(None, ge=1)
    """Accelerators in the machine."""
    batch: Ends | None = None
    draft_length: Ends | None = None
    temperature: float | None = Field(None, ge=0)
    workload: str | None = None
    """The only set of prompts."""
    remark: str | None = None
    """What the machine-readable part does not say."""


class Statement(Scope):
    """One figure or direction."""

    metric: Metric = "speed-up"
    low: float | None = Field(None, gt=0)
    """Bounds of the published range, in the unit of the metric; equal for one figure, one alone for a direction."""
    high: float | None = Field(None, gt=0)
    at_most: float | None = Field(None, gt=0)
    """Of "up to": the best that was measured is to reach it."""
    rounding: float = Field(0.0, ge=0)
    """Half a unit of the last digit that was published."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        given = self.low is not None or self.high is not None
        if self.metric == "identical output":
            if given or self.at_most is not None:
                raise ValueError("identical output takes no bounds")
        elif given == (self.at_most is not None):
            raise ValueError("expected low, high or both, or at_most alone")
        if self.at_most is not None and self.metric != "speed-up":
            raise ValueError("at_most is for speed-up")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self

    @property
    def single(self) -> bool:
        """One figure, not a range or a direction."""
        return self.low is not None and self.low == self.high


class Claim(Scope):
    """One source's statements about one thing; each statement's own scope is set over the claim's."""

    id: str = Field(min_length=1)
    source: str
    about: str = ""
    """Model, runtime and hardware as published."""
    words: str
    """As published."""
    statements: tuple[Statement, ...] = Field(min_length=1)

    def stated(self) -> Iterator[Statement]:
        """The statements, each with what the claim states for all of them."""
        shared = {name: getattr(self, name) for name in Scope.model_fields if name in self.model_fields_set}
        for one in self.statements:
            own = {name: getattr(one, name) for name in one.model_fields_set}
            remarks = [text for text in (self.remark, one.remark) if text]
            yield Statement.model_validate(shared | own | {"remark": "; ".join(remarks) or None})


class _File(_Strict):
    about: str = ""
    claims: tuple[Claim, ...] = Field(min_length=1)


def _place(loc: tuple[int | str, ...], content: bytes) -> str:
    """Where a file of claims is at fault: which claim, by its id where it has one, and which field."""
    path = ".".join(str(part) for part in loc)
    if loc[:1] != ("claims",) or len(loc) < 3:
        return path
    one = from_json(content)["claims"][loc[1]]
    name = one.get("id") if isinstance(one, dict) else None
    return f"claim {name[:60]}, {path.split('.', 2)[2]}" if isinstance(name, str) and name else path


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a JSON file. Raises UsageError, in one line, for a file that holds none."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read the claims {path}: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise UsageError(f"claims {path}: expected at most {LARGEST_FILE:,} bytes of JSON")
    try:
        claims = _File.model_validate_json(content).claims
        for claim in claims:
            list(claim.stated())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ascii(_place(first["loc"], content))[1:-1][:120]  # a key may hold anything
        said = (f"{place}: " if place else "") + first["msg"].removeprefix("Value error, ")
        raise UsageError(f"claims {path}: {said}; see workloads/claims.json for the format") from error
    ids = [claim.id for claim in claims]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise UsageError(f"claims {path}: two claims have the id {twice!r}")
    return claims
