"""The encoder: map tokens attend to a few places on every level."""

from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.levels import Levels
from mfd.nn import DeformableEncoderLayer, keep_state_names

STATE_NAMES = {
    "attention": "self_attn",
    "attention_norm": "self_attn_norm",
    "feed_forward.linear1": "linear1",
    "feed_forward.linear2": "linear2",
    "feed_forward_norm": "feedforward_norm",
}


class Encoder(nn.Module):
    """A stack of encoder layers; no norm follows the last."""

    def __init__(self, config: DeformableConfig) -> None:
        super().__init__()
        levels, points, hidden = len(config.strides), config.points, config.feedforward
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(config.dim, config.heads, levels, points, hidden, nn.ReLU)
            for _ in range(config.encoder_layers)
        )
        for layer in self.layers:
            keep_state_names(layer, STATE_NAMES)

    def forward(
        self, tokens: Float[Tensor, "B S D"], position: Float[Tensor, "B S D"], levels: Levels
    ) -> list[Float[Tensor, "B S D"]]:
        """The output of every layer, first to last."""
        references = levels.centres[:, :, None] * levels.valid_ratios[:, None]
        outputs = []
        for layer in self.layers:
            tokens = layer(tokens, position, references, levels.spatial_shapes, levels.padding)
            outputs.append(tokens)
        return outputs
