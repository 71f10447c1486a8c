"""Deformable attention against Transformers', its initialisation, and its padding."""

import torch
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrMultiscaleDeformableAttention,
)

from mfd.headtrain.head.deformable import DeformableLayer, MSDeformAttn
from tests.headtrain.head.toy import error, randomise

SHAPES = [(7, 11), (4, 6), (2, 3)]
TOKENS = sum(height * width for height, width in SHAPES)


def test_it_computes_what_transformers_computes_with_the_same_weights() -> None:
    ours = randomise(MSDeformAttn(dim=32, num_heads=4, num_levels=3, num_points=2))
    config = DeformableDetrConfig(
        d_model=32, num_feature_levels=3, disable_custom_kernels=True, backbone="resnet18"
    )
    theirs = DeformableDetrMultiscaleDeformableAttention(config, num_heads=4, n_points=2)
    theirs.load_state_dict(ours.state_dict())
    query, tokens = torch.randn(2, 13, 32), torch.randn(2, TOKENS, 32)
    reference_points = torch.rand(2, 13, 3, 2)
    valid = torch.rand(2, TOKENS) > 0.3
    shapes = torch.tensor(SHAPES)
    expected, _ = theirs(
        query,
        attention_mask=valid,
        encoder_hidden_states=tokens,
        reference_points=reference_points,
        spatial_shapes=shapes,
        spatial_shapes_list=SHAPES,
    )
    assert error(ours(query, reference_points, tokens, shapes, valid), expected) < 1e-5


def test_at_first_each_head_looks_along_its_ray_and_every_point_counts_the_same() -> None:
    attention = MSDeformAttn(dim=64, num_heads=8, num_levels=3, num_points=4)
    offsets = attention.sampling_offsets(torch.randn(1, 64)).view(8, 3, 4, 2)
    for level in range(3):
        assert torch.allclose(offsets[:, level].abs().amax(-1), torch.arange(1.0, 5), atol=1e-5)
        assert torch.allclose(offsets[0, level, 2], torch.tensor([3.0, 0]), atol=1e-5)
        assert torch.allclose(offsets[2, level, 1], torch.tensor([0, 2.0]), atol=1e-5)
        assert torch.allclose(offsets[5, level, 0], torch.tensor([-1.0, -1]), atol=1e-5)
    assert not attention.attention_weights(torch.randn(1, 64)).any()


def test_values_on_padding_reach_neither_outputs_nor_gradients() -> None:
    layer = randomise(DeformableLayer(dim=16, num_heads=2, num_levels=1, num_points=4), 1.0)
    shapes = torch.tensor([[5, 7]])
    valid = torch.arange(35).view(5, 7)[None] % 7 < 4
    valid = valid.flatten(1)
    tokens = torch.randn(1, 35, 16)
    reference_points, position = torch.rand(1, 35, 1, 2), torch.randn(1, 35, 16)
    clean = layer(tokens, position, reference_points, shapes, valid)
    loud = tokens.masked_fill(~valid[..., None], 1e6).requires_grad_()
    found = layer(loud, position, reference_points, shapes, valid)
    assert error(found[valid], clean[valid]) == 0
    found[valid].sum().backward()
    assert loud.grad is not None
    assert not loud.grad[~valid].any()


def test_no_queries_are_no_error() -> None:
    layer = DeformableLayer(dim=16, num_heads=2, num_levels=1, num_points=4)
    empty = torch.zeros(0, 35, 16)
    shapes = torch.tensor([[5, 7]])
    assert layer(empty, torch.zeros(1, 35, 16), torch.rand(1, 35, 1, 2), shapes).shape == (
        0,
        35,
        16,
    )
