"""A pair as a LiteRT-LM bundle in float32 with its MTP section: exported, compared with Transformers, packed."""

from pathlib import Path
from tempfile import TemporaryDirectory

from results.errors import UsageError
from workloads.conversion.environments import Say, run, shown
from workloads.conversion.exporter.__main__ import STEPS
from workloads.conversion.exporter.layout import PREFILL, Export
from workloads.conversion.pair import PairFolder, refuse_for_litert


def convert(pair: PairFolder, out: Path, python: Path, say: Say, *, draft_tokens: int = 4, context: int = 512) -> Path:
    """Write OUT/pair.litertlm. python: of an environment with the exporter.

    Raises UsageError for pairs that cannot be exported, where a step fails, and where an exported number is not
    Transformers': then there is no bundle.
    """
    refuse_for_litert(pair)
    if draft_tokens < 1:
        raise UsageError(f"--draft-tokens {draft_tokens} must be at least 1; the bundle drafts so many in each round")
    if context <= PREFILL + draft_tokens:
        raise UsageError(f"--context {context} must be above {PREFILL + draft_tokens}, a chunk of prompt and one round")
    out.mkdir(parents=True, exist_ok=True)
    log = out / "litert.log"
    with TemporaryDirectory(dir=out.resolve(), prefix="unfinished-") as folder, shown() as path:
        plan = Export(pair.target, pair.assistant, Path(folder), draft_tokens, context)
        for step in STEPS:
            say(f"LiteRT: {step}")
            command = [str(python), "-m", "workloads.conversion.exporter", step, plan.written()]
            run(command, log, f"the export's step {step}", folder=Path(folder), path=path)
        for line in (plan.folder / "parity.txt").read_text().splitlines():
            say(line)
        made = out / plan.bundle.name
        plan.bundle.replace(made)
    return made
