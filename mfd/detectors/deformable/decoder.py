"""The decoder: queries read the encoder's tokens around their box and refine it, layer by layer."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.levels import Levels
from mfd.detectors.deformable.prediction import box_head, class_head, in_float32, inverse_sigmoid
from mfd.nn import MLP, DeformableAttention, FeedForward, box_encoding, keep_state_names

STATE_NAMES = {"feed_forward.linear1": "linear1", "feed_forward.linear2": "linear2"}


class DecoderLayer(nn.Module):
    """Self-attention, deformable cross-attention, feed-forward; LayerNorm after each sum."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        dim, heads = config.dim, config.heads
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.self_attn_norm = nn.LayerNorm(dim)
        self.cross_attn = DeformableAttention(dim, heads, len(config.strides), config.points)
        self.cross_attn_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, config.feedforward, nn.ReLU)
        self.feedforward_norm = nn.LayerNorm(dim)
        keep_state_names(self, STATE_NAMES)

    def forward(
        self,
        queries: Float[Tensor, "B Q D"],
        position: Float[Tensor, "B Q D"],
        references: Float[Tensor, "B Q L 4"],
        memory: Float[Tensor, "B S D"],
        levels: Levels,
        blocked: Bool[Tensor, "Q Q"] | None,
    ) -> Float[Tensor, "B Q D"]:
        """The queries after one layer; `blocked` pairs do not see each other."""
        placed = queries + position
        read, _ = self.self_attn(placed, placed, queries, attn_mask=blocked, need_weights=False)
        queries = self.self_attn_norm(queries + read)
        read = self.cross_attn(
            queries + position, references, memory, levels.spatial_shapes, levels.padding
        )
        queries = self.cross_attn_norm(queries + read)
        return self.feedforward_norm(queries + self.feed_forward(queries))


class InitialPosition(nn.Module):
    """A query's position from the box it started with: half of a normed projection (H-DETR)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * dim, 2 * dim)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, boxes: Float[Tensor, "B Q 4"]) -> Float[Tensor, "B Q D"]:
        """The position input of every decoder layer; the other half is not used."""
        dim = self.linear.in_features
        return self.norm(self.linear(box_encoding(boxes, dim)))[..., : dim // 2]


class ReferencePosition(nn.Module):
    """A query's position from its current box, as (y, x, width, height) (DINO)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.mlp = MLP(2 * dim, dim, dim)

    def forward(self, boxes: Float[Tensor, "B Q 4"]) -> Float[Tensor, "B Q D"]:
        """The position input of one decoder layer."""
        return self.mlp(box_encoding(boxes[..., [1, 0, 2, 3]], 2 * self.dim))


class Decoder(nn.Module):
    """A stack of decoder layers with learned content queries and a class and box head each."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        self.box_eps = config.box_eps
        self.initial_position = config.query_position == "initial"
        self.num_queries = config.num_queries
        dim, heads = config.dim, 1 if config.shared_heads else config.decoder_layers
        self.content = nn.Embedding(config.num_queries + config.extra_queries, dim)
        self.position = (InitialPosition if self.initial_position else ReferencePosition)(dim)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(dim) if config.decoder_norm else nn.Identity()
        self.class_heads = nn.ModuleList(class_head(dim, config.num_classes) for _ in range(heads))
        self.box_heads = nn.ModuleList(box_head(dim) for _ in range(heads))

    def forward(
        self, boxes: Float[Tensor, "B Q 4"], memory: Float[Tensor, "B S D"], levels: Levels
    ) -> tuple[Float[Tensor, "N B Q D"], Float[Tensor, "N B Q K"], Float[Tensor, "N B Q 4"]]:
        """Queries as the heads see them, class logits and boxes after each of the N layers.

        Gradients of a layer's boxes reach that layer and the one before ("look forward twice").

        Args:
            boxes: where the queries start, best first; 0 and 1 are the edges of the unpadded
                image.
            memory: the encoder's output.
            levels: its geometry.
        """
        count = boxes.shape[1]
        blocked = self._blocked(count, boxes.device)
        queries = self.content.weight[:count].expand(boxes.shape[0], -1, -1)
        ratios = torch.cat((levels.valid_ratios, levels.valid_ratios), dim=-1)  # B, L, 4
        references = before = boxes
        position = self.position(boxes) if self.initial_position else None
        seen, logits, predicted = [], [], []
        for number, layer in enumerate(self.layers):
            scaled = references[:, :, None] * ratios[:, None]
            where = self.position(scaled[:, :, 0]) if position is None else position
            queries = layer(queries, where, scaled, memory, levels, blocked)
            head = number % len(self.box_heads)
            normed = self.norm(queries)
            seen.append(normed)
            logits.append(in_float32(self.class_heads[head], normed))
            predicted.append(self._refine(head, normed, before))
            before = self._refine(head, queries, references)
            references = before.detach()
        return torch.stack(seen), torch.stack(logits), torch.stack(predicted)

    def _refine(
        self, head: int, queries: Float[Tensor, "B Q D"], boxes: Float[Tensor, "B Q 4"]
    ) -> Float[Tensor, "B Q 4"]:
        corrections = in_float32(self.box_heads[head], queries)
        return (corrections + inverse_sigmoid(boxes, self.box_eps)).sigmoid()

    def _blocked(self, count: int, device: torch.device) -> Bool[Tensor, "Q Q"] | None:
        """Keep extra queries and the others apart; None where there are no extra ones."""
        if count <= self.num_queries:
            return None
        extra = torch.arange(count, device=device) >= self.num_queries
        return extra[:, None] != extra[None, :]
