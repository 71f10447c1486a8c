"""The encoder: map tokens attend to a few places on every level."""

from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors.deformable.attention import DeformableAttention
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.levels import Levels


class EncoderLayer(nn.Module):
    """Deformable attention and a feed-forward part, each followed by LayerNorm of the sum."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        dim = config.dim
        self.self_attn = DeformableAttention(dim, config.heads, len(config.strides), config.points)
        self.self_attn_norm = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, dim)
        self.feedforward_norm = nn.LayerNorm(dim)

    def forward(
        self,
        tokens: Float[Tensor, "B S D"],
        position: Float[Tensor, "B S D"],
        references: Float[Tensor, "B S L 2"],
        levels: Levels,
    ) -> Float[Tensor, "B S D"]:
        """The tokens after one layer; the position is added to queries only, never to values."""
        read = self.self_attn(
            tokens + position, references, tokens, levels.padding, levels.spatial_shapes
        )
        tokens = self.self_attn_norm(tokens + read)
        return self.feedforward_norm(tokens + self.linear2(self.linear1(tokens).relu()))


class Encoder(nn.Module):
    """A stack of encoder layers; no norm follows the last."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(
        self, tokens: Float[Tensor, "B S D"], position: Float[Tensor, "B S D"], levels: Levels
    ) -> list[Float[Tensor, "B S D"]]:
        """The output of every layer, first to last."""
        references = levels.centres[:, :, None] * levels.valid_ratios[:, None]
        outputs = []
        for layer in self.layers:
            tokens = layer(tokens, position, references, levels)
            outputs.append(tokens)
        return outputs
