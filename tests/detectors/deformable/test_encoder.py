"""The encoder: what its position input reaches."""

import torch

from mfd.detectors.deformable.encoder import Encoder
from mfd.detectors.deformable.levels import Levels, build_levels
from tests.builders.deformable import FAMILIES

SIZES = ((6, 5), (3, 3), (2, 2))


def _encoder() -> tuple[Encoder, Levels, torch.Tensor]:
    levels = build_levels(torch.zeros(2, 48, 40, dtype=torch.bool), SIZES)
    encoder = Encoder(FAMILIES["hdetr"])
    for layer in encoder.layers:
        torch.nn.init.normal_(layer.attention.attention_weights.weight)
    return encoder, levels, torch.randn(2, 30 + 9 + 4, 32)


def test_the_encoder_gives_every_layers_output_in_order() -> None:
    encoder, levels, tokens = _encoder()
    position = torch.randn_like(tokens)
    first, second = encoder(tokens, position, levels)
    references = levels.centres[:, :, None] * levels.valid_ratios[:, None]
    geometry = levels.spatial_shapes, levels.padding
    assert first.equal(encoder.layers[0](tokens, position, references, *geometry))
    assert second.equal(encoder.layers[1](first, position, references, *geometry))


def test_position_steers_attention_but_is_never_part_of_what_is_read() -> None:
    encoder, levels, tokens = _encoder()
    layer = encoder.layers[0]
    with torch.no_grad():
        first = encoder(tokens, torch.zeros_like(tokens), levels)[0]
        assert not first.allclose(encoder(tokens, torch.randn_like(tokens), levels)[0])
        layer.attention.attention_weights.weight.zero_()  # equal weights and fixed offsets
        first = encoder(tokens, torch.zeros_like(tokens), levels)[0]
        assert first.allclose(encoder(tokens, torch.randn_like(tokens), levels)[0], atol=1e-6)
