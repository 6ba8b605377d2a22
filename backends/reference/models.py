"""Target and drafter as the engine calls them: Transformers' modules and weights, positions and masks of our own.

What Transformers prepares inside a model's forward (masks, positions, a cache that grows) is given ready-made, because
those parts stop a compiler; what computes is untouched.
"""

from collections.abc import Mapping

import torch

from backends.hf.loading import Model
from backends.reference import attention
from backends.reference.cache import SLIDING, Filling, Slots, layout_of

Lent = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
Masks = Mapping[str, torch.Tensor]


class Target:
    """A Gemma 4 text model with its output head."""

    def __init__(self, model: Model) -> None:
        inner = model.model
        self.text = getattr(inner, "language_model", inner)  # a multimodal checkpoint holds it one floor deeper
        self.head = model.lm_head
        self.cap: float | None = model.config.get_text_config().final_logit_softcapping
        self.layout = layout_of(self.text)
        self.hidden_size = int(self.text.config.hidden_size)
        attention.use(model)

    def hidden(
        self, ids: torch.Tensor, positions: torch.Tensor, masks: Masks, cache: Slots | Filling | None
    ) -> torch.Tensor:
        """Activations after the last norm, [rows, tokens, hidden]; ids and positions [rows, tokens]."""
        out = self.text(
            input_ids=ids, position_ids=positions, attention_mask=dict(masks), past_key_values=cache, use_cache=False
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., vocabulary]."""
        raw: torch.Tensor = self.head(hidden)
        return raw if self.cap is None else torch.tanh(raw / self.cap) * self.cap

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """The input embeddings that the drafter shares."""
        embedded: torch.Tensor = self.text.embed_tokens(ids)
        return embedded


class Drafter:
    """A Gemma 4 MTP assistant. It has no keys and values of its own and keeps one position through a round."""

    def __init__(self, model: Model, own_table: torch.nn.Module | None = None) -> None:
        """own_table: of input embeddings, where the target's is not to be used (an ablation)."""
        self.model, self.own_table = model, own_table
        config = model.config.get_text_config()
        self.kinds = tuple(dict.fromkeys(config.layer_types))
        self.window: int = config.sliding_window
        self.vocabulary: int = config.vocab_size
        attention.use(model)

    @property
    def clustered(self) -> bool:
        """Has the efficient embedder: centroids first, then the tokens of the best clusters (E2B, E4B)."""
        return self.model.masked_embedding is not None

    def advance(
        self, embedded: torch.Tensor, hidden: torch.Tensor, positions: torch.Tensor, lent: Lent, masks: Masks
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(last activations, activations to condition the next draft on) for [rows, tokens, hidden] inputs.

        embedded: of the last tokens, by the target's table. hidden: the target's activations before them, or what
        the previous call gave.
        """
        joined = self.model.pre_projection(torch.cat([embedded, hidden], dim=-1))
        out = self.model.model(
            inputs_embeds=joined,
            attention_mask=dict(masks),
            position_ids=positions,
            shared_kv_states={kind: lent[kind] for kind in self.kinds},
            use_cache=False,
        )
        return out.last_hidden_state, self.model.post_projection(out.last_hidden_state)

    def best(self, last: torch.Tensor, *, full: bool = False) -> torch.Tensor:
        """The most probable token [rows, tokens]. full: by the whole vocabulary, where there are centroids too."""
        if self.clustered and not full:
            logits, ids = self.candidates(last)
            return ids.gather(-1, logits.argmax(-1, keepdim=True)).squeeze(-1)
        choice: torch.Tensor = self.model.lm_head(last).argmax(-1)
        return choice

    def scores(self, last: torch.Tensor, *, full: bool = False) -> torch.Tensor:
        """Logits of the whole vocabulary, -inf outside the best clusters. full: as in `best`."""
        if full or not self.clustered:
            logits: torch.Tensor = self.model.lm_head(last)
            return logits
        logits, ids = self.candidates(last)
        everywhere = torch.full((*last.shape[:-1], self.vocabulary), -torch.inf, dtype=logits.dtype, device=last.device)
        return everywhere.scatter(-1, ids, logits)

    def candidates(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits, token ids), each [rows, tokens, candidates], of the tokens in the best clusters.

        As `Gemma4AssistantMaskedEmbedder.forward` of Transformers 5.22.2, which besides writes them into a tensor of
        the whole vocabulary and waits for the device to know their minimum.
        """
        embedder = self.model.masked_embedding
        clusters = embedder.centroids(last).topk(embedder.centroid_intermediate_top_k, dim=-1).indices
        members = embedder.token_ordering.view(embedder.num_centroids, embedder.vocab_size_per_centroid)
        ids = members[clusters].flatten(-2)
        weights = self.model.lm_head.weight[ids]
        return (weights @ last.unsqueeze(-1)).squeeze(-1), ids


def drafter_masks(
    cache: Slots, lengths: torch.Tensor, written: torch.Tensor, window: int, *, drafted: int, sees_rejected: bool
) -> dict[str, torch.Tensor]:
    """{layer type: [rows, 1, 1, slots]}: which of the target's keys and values a drafter sees.

    lengths: [rows], tokens whose keys and values are valid; the last token's own are not there yet. written: [rows],
    the last position that the last pass wrote, rejected drafts included. window: as Transformers' drafter masks it,
    the last window + 1 entries.
    sees_rejected: as Transformers 5.22.2 hands them over (`SinglePositionMultiTokenCandidateGenerator`): full-attention
    layers up to one entry too many, sliding layers beyond the window all that the last pass of `drafted` + 1 wrote.
    """
    seen = {}
    for kind in cache.sizes:
        held = cache.positions(kind, written)
        last = lengths - 1
        if sees_rejected and kind == SLIDING:
            first = (written + 1 - cache.layout.window - drafted).clamp_min(0)
            last = torch.minimum(written, first + lengths)
        elif sees_rejected:
            last = torch.minimum(written, lengths)
        visible = (held >= 0) & (held <= last[:, None])
        if kind == SLIDING:
            visible &= held > (last - window - 1)[:, None]
        seen[kind] = visible[:, None, None]
    return seen
