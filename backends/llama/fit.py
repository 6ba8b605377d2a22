"""Does this drafter fit this target? Judged from two GGUF headers, because llama.cpp aborts over a wrong one."""

from collections.abc import Mapping

from backends.llama.gguf import Model
from results.errors import UsageError
from results.records import Draft, Pair

ASSISTANTS: Mapping[str, tuple[str, ...]] = {"gemma4-assistant": ("gemma4",)}
"""Architecture of an MTP assistant -> architectures of the targets it is made for."""
OWN_HEADS = "eagle3"


def refuse(pair: Pair, draft: Draft | None, target: Model, drafter: Model | None) -> None:
    """Raises UsageError, in one line, where the files cannot run the arm."""
    if found := problems(draft, target, drafter):
        models = pair.target if drafter is None else f"{drafter.path} and {pair.target}"
        arm = "plain decoding" if draft is None else draft.method
        raise UsageError(
            f"{models} cannot run {arm}: {'; '.join(found)}. Name a target and the drafter made for it, "
            "as in -m TARGET.gguf:DRAFTER.gguf"
        )


def problems(draft: Draft | None, target: Model, drafter: Model | None) -> list[str]:
    """What speaks against it, one phrase each; empty where nothing does."""
    kind = target.architecture
    if kind in ASSISTANTS or kind == OWN_HEADS:
        return [f"the target is itself a drafter ({kind})"]
    if draft is None or draft.method == "prompt-lookup":
        return []
    if draft.method == "native-mtp":
        return [] if target.number("nextn_predict_layers") else ["the target has no MTP layers of its own"]
    if drafter is None:
        if draft.method == "mtp" and target.number("nextn_predict_layers"):
            return []
        own = " and the target has no MTP layers of its own" if draft.method == "mtp" else ""
        return [f"no drafter is named{own}"]
    if draft.method == "mtp":
        return _mtp(target, drafter)
    found = _vocabularies(target, drafter)
    is_head = drafter.architecture == OWN_HEADS
    if draft.method == "eagle3" and not is_head:
        found.append(f"the drafter is no EAGLE-3 head (architecture {drafter.architecture})")
    if draft.method == "draft-model" and (is_head or drafter.architecture in ASSISTANTS):
        needed = "eagle3" if is_head else "mtp"
        found.append(f"the drafter is no model of its own ({drafter.architecture}), it needs --method {needed}")
    return found


def _mtp(target: Model, drafter: Model) -> list[str]:
    found = _vocabularies(target, drafter)
    if not drafter.number("nextn_predict_layers"):
        found.append(
            f"the drafter holds no MTP layers (architecture {drafter.architecture}); a small ordinary model needs "
            "--method draft-model"
        )
    made_for = ASSISTANTS.get(drafter.architecture)
    if made_for is not None and target.architecture not in made_for:
        found.append(f"a {drafter.architecture} drafts for {' or '.join(made_for)}, not for {target.architecture}")
    wanted, has = drafter.number("embedding_length_out"), target.number("embedding_length")
    if wanted is not None and has is not None and wanted != has:
        found.append(f"the drafter expects hidden size {wanted}, the target has {has}")
    return found


def _vocabularies(target: Model, drafter: Model) -> list[str]:
    """EAGLE-3 heads may carry none."""
    ours, theirs = target.vocab_size, drafter.vocab_size
    if ours is None or theirs is None or ours == theirs:
        return []
    return [f"the vocabularies differ: {theirs:,} tokens in the drafter, {ours:,} in the target"]
