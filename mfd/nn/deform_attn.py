"""Multi-scale deformable attention and the encoder layer around it (arXiv:2010.04159)."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mfd.kernels import ms_deform_attn_fused
from mfd.nn.add_norm import AddLayerNorm
from mfd.nn.mlp import FeedForward
from mfd.nn.products import Linear


class DeformableAttention(nn.Module):
    """Each query sums P bilinear samples of each of L maps, at places and weights it predicts.

    Equation 3 of Deformable DETR.
    """

    def __init__(self, dim: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = Linear(dim, samples * 2)
        self.attention_weights = Linear(dim, samples)
        self.value_proj = Linear(dim, dim)
        self.output_proj = Linear(dim, dim)
        self._init_as_source()

    def _init_as_source(self) -> None:
        """Deformable DETR's: a head's point p lies p pixels away on its ray, equal weights."""
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        rays = torch.stack((angles.cos(), angles.sin()), -1)
        rays = rays / rays.abs().amax(-1, keepdim=True)  # heads 0, 2, 4 ... meet whole pixels
        steps = torch.arange(1, self.num_points + 1)
        offsets = rays[:, None, None] * steps[:, None]  # heads, 1, points, 2
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.num_levels, -1, -1).flatten())
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Float[Tensor, "B Q D"],
        references: Float[Tensor, "#B Q L R"],
        tokens: Float[Tensor, "B S D"],
        spatial_shapes: Int[Tensor, "L 2"],
        padding: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """What every query reads from the maps.

        Args:
            query: content plus position.
            references: (x, y) around which to sample, with offsets in pixels of the level; or
                (centre x, centre y, width, height), with offsets in units of half the box,
                divided by P. 0 and 1 are the edges of the padded maps.
            tokens: the maps, each flattened row by row, joined.
            spatial_shapes: (H, W) of each map, pixels.
            padding: tokens that read zero, as the surroundings of the maps do; None: there are
                none.
        """
        samples = self.num_levels * self.num_points
        value = self.value_proj(tokens)
        if padding is not None:
            value = value.masked_fill(padding[..., None], 0)
        value = value.unflatten(-1, (self.num_heads, value.shape[-1] // self.num_heads))
        offsets = self.sampling_offsets(query).unflatten(-1, (self.num_heads, samples, 2))
        logits = self.attention_weights(query).unflatten(-1, (self.num_heads, samples))
        if references.shape[-1] == 4:
            offsets = offsets * self._half_boxes(references, spatial_shapes)[:, :, None]
        centres = references[..., :2].expand(query.shape[0], -1, -1, -1)
        read = ms_deform_attn_fused(value, spatial_shapes, offsets, logits, centres)
        return self.output_proj(read.flatten(2))

    def _half_boxes(
        self, references: Float[Tensor, "#B Q L 4"], spatial_shapes: Int[Tensor, "L 2"]
    ) -> Float[Tensor, "#B Q LP 2"]:
        """Half of each box over P, in pixels of each level, repeated for the points."""
        pixels = spatial_shapes.flip(-1).to(references)
        return (references[..., 2:] * pixels * (0.5 / self.num_points)).repeat_interleave(
            self.num_points, dim=2
        )


class DeformableEncoderLayer(nn.Module):
    """`x = LN(x + attention(x + position, x)); x = LN(x + FFN(x))`."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        hidden: int,
        activation: type[nn.Module],
    ) -> None:
        super().__init__()
        self.attention = DeformableAttention(dim, num_heads, num_levels, num_points)
        self.attention_norm = AddLayerNorm(dim)
        self.feed_forward = FeedForward(dim, hidden, activation)
        self.feed_forward_norm = AddLayerNorm(dim)

    def forward(
        self,
        x: Float[Tensor, "B S D"],
        position: Float[Tensor, "#B S D"],
        references: Float[Tensor, "#B S L 2"],
        spatial_shapes: Int[Tensor, "L 2"],
        padding: Bool[Tensor, "B S"] | None = None,
        queries: int | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """The tokens after one layer; the position is added to queries only, never to values.

        Args are those of `DeformableAttention`. The first `queries` tokens are queries, and what
        comes out; None: all of them.
        """
        tokens = x
        if queries is not None:
            x, position, references = (t[:, :queries] for t in (x, position, references))
        read = self.attention(x + position, references, tokens, spatial_shapes, padding)
        x = self.attention_norm(x, read)
        return self.feed_forward_norm(x, self.feed_forward(x))
