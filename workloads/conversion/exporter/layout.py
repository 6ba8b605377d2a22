"""The files of one export, and its two fixed lengths."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

PREFILL = 32
"""Tokens of the signature `prefill`; longer prompts are read in chunks."""
HIDDEN = -1e4
"""The engine's own mask value."""


@dataclass(frozen=True, slots=True)
class Export:
    """One pair on its way into a bundle. Both lengths are baked in; no option of the runtime changes them."""

    target: Path
    assistant: Path
    folder: Path
    draft_tokens: int
    context: int

    @property
    def model(self) -> Path:
        """The target's signatures, which the exporter also packs into `unbundled`."""
        return self.folder / "model.tflite"

    @property
    def unbundled(self) -> Path:
        """The exporter's own bundle, without a drafter."""
        return self.folder / "model.litertlm"

    @property
    def zeros(self) -> Path:
        return self.folder / "zero_per_layer_embedder.tflite"

    @property
    def drafter(self) -> Path:
        return self.folder / "drafter.tflite"

    @property
    def bundle(self) -> Path:
        return self.folder / "pair.litertlm"

    def written(self) -> str:
        """As one line, for another process."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def read(cls, line: str) -> "Export":
        """What `written` gave."""
        given = json.loads(line)
        target, assistant, folder = (Path(given[name]) for name in ("target", "assistant", "folder"))
        return cls(target, assistant, folder, given["draft_tokens"], given["context"])
