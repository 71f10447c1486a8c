"""Deformable attention against Transformers' and the plain operator, its start, and its padding."""

import torch
from torch import Tensor, nn
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrMultiscaleDeformableAttention,
)

from mfd.kernels import ms_deform_attn
from mfd.nn import DeformableAttention, DeformableEncoderLayer
from tests.builders.batches import error, randomise

SIZES = [(7, 11), (4, 6), (2, 3)]
SHAPES = torch.tensor(SIZES)
TOKENS = sum(height * width for height, width in SIZES)
DIM, HEADS, LEVELS, POINTS, QUERIES = 32, 4, 3, 2, 13


def inputs() -> tuple[DeformableAttention, Tensor, Tensor, Tensor]:
    """A module, queries, tokens, and which tokens are padding."""
    attention = randomise(DeformableAttention(DIM, HEADS, LEVELS, POINTS), 0.3)
    return attention, torch.randn(2, QUERIES, DIM), torch.randn(2, TOKENS, DIM), scattered()


def scattered() -> Tensor:
    return torch.rand(2, TOKENS) < 0.3


def encoder_layer(dim: int = 16) -> DeformableEncoderLayer:
    return DeformableEncoderLayer(dim, 2, 1, 4, 3 * dim, nn.GELU)


def test_attention_equals_transformers_with_the_same_weights() -> None:
    ours, query, tokens, padding = inputs()
    config = DeformableDetrConfig(
        d_model=DIM, num_feature_levels=LEVELS, disable_custom_kernels=True, backbone="resnet18"
    )
    theirs = DeformableDetrMultiscaleDeformableAttention(config, num_heads=HEADS, n_points=POINTS)
    theirs.load_state_dict(ours.state_dict())
    for coordinates in (2, 4):
        references = torch.rand(2, QUERIES, LEVELS, coordinates)
        expected, _ = theirs(
            query,
            attention_mask=~padding,
            encoder_hidden_states=tokens,
            reference_points=references,
            spatial_shapes=SHAPES,
            spatial_shapes_list=SIZES,
        )
        assert error(ours(query, references, tokens, SHAPES, padding), expected) < 1e-5


def sampled_at(
    attention: DeformableAttention, query: Tensor, tokens: Tensor, padding: Tensor, where: Tensor
) -> Tensor:
    """The same by the plain operator, given sampling locations (B, Q, M, L, P, 2)."""
    value = attention.value_proj(tokens).masked_fill(padding[..., None], 0)
    weights = attention.attention_weights(query).view(2, QUERIES, HEADS, -1).softmax(-1)
    read = ms_deform_attn(
        value.view(2, -1, HEADS, DIM // HEADS),
        SHAPES,
        where,
        weights.view(2, QUERIES, HEADS, LEVELS, POINTS),
    )
    return attention.output_proj(read.flatten(-2))


def test_offsets_around_a_point_are_pixels_of_the_sampled_level() -> None:
    attention, query, tokens, padding = inputs()
    points = torch.rand(2, QUERIES, LEVELS, 2)
    offsets = attention.sampling_offsets(query).view(2, QUERIES, HEADS, LEVELS, POINTS, 2)
    where = points[:, :, None, :, None] + offsets / SHAPES.flip(1)[:, None]
    found = attention(query, points, tokens, SHAPES, padding)
    assert found.allclose(sampled_at(attention, query, tokens, padding, where), atol=1e-5)


def test_offsets_around_a_box_are_half_boxes_over_the_points() -> None:
    attention, query, tokens, padding = inputs()
    boxes = torch.rand(2, QUERIES, LEVELS, 4)
    offsets = attention.sampling_offsets(query).view(2, QUERIES, HEADS, LEVELS, POINTS, 2)
    centre, extent = boxes[:, :, None, :, None].chunk(2, -1)
    where = centre + offsets / POINTS * extent * 0.5
    found = attention(query, boxes, tokens, SHAPES, padding)
    assert found.allclose(sampled_at(attention, query, tokens, padding, where), atol=1e-5)


def test_references_may_be_the_same_for_all_images() -> None:
    attention, query, tokens, padding = inputs()
    for coordinates in (2, 4):
        references = torch.rand(1, QUERIES, LEVELS, coordinates)
        shared, repeated = (
            attention(query, given, tokens, SHAPES, padding)
            for given in (references, references.repeat(2, 1, 1, 1))
        )
        assert shared.equal(repeated)


def test_at_first_each_head_looks_along_its_ray_and_every_point_counts_the_same() -> None:
    attention = DeformableAttention(dim=64, num_heads=8, num_levels=3, num_points=4)
    offsets = attention.sampling_offsets(torch.randn(1, 64)).view(8, 3, 4, 2)
    for level in range(3):
        assert torch.allclose(offsets[:, level].abs().amax(-1), torch.arange(1.0, 5), atol=1e-5)
        assert torch.allclose(offsets[0, level, 2], torch.tensor([3.0, 0]), atol=1e-5)
        assert torch.allclose(offsets[2, level, 1], torch.tensor([0, 2.0]), atol=1e-5)
        assert torch.allclose(offsets[5, level, 0], torch.tensor([-1.0, -1]), atol=1e-5)
    assert not attention.attention_weights(torch.randn(1, 64)).any()


def test_values_on_padding_reach_neither_outputs_nor_gradients() -> None:
    layer = randomise(encoder_layer(), 1.0)
    shapes = torch.tensor([[5, 7]])
    padding = (torch.arange(35).view(5, 7)[None] % 7 >= 4).flatten(1)
    tokens = torch.randn(1, 35, 16)
    references, position = torch.rand(1, 35, 1, 2), torch.randn(1, 35, 16)
    clean = layer(tokens, position, references, shapes, padding)
    loud = tokens.masked_fill(padding[..., None], 1e6).requires_grad_()
    found = layer(loud, position, references, shapes, padding)
    assert error(found[~padding], clean[~padding]) == 0
    found[~padding].sum().backward()
    assert loud.grad is not None
    assert not loud.grad[padding].any()


def test_no_queries_are_no_error() -> None:
    empty, position = torch.zeros(0, 35, 16), torch.zeros(1, 35, 16)
    references, shapes = torch.rand(1, 35, 1, 2), torch.tensor([[5, 7]])
    assert encoder_layer()(empty, position, references, shapes).shape == (0, 35, 16)


def test_first_tokens_as_the_only_queries_give_what_they_give_among_all() -> None:
    layer = randomise(DeformableEncoderLayer(16, 2, 2, 4, 48, nn.GELU)).double()
    shapes, finest = torch.tensor([[3, 4], [2, 2]]), 12
    tokens = torch.randn(2, 16, 16, dtype=torch.float64, requires_grad=True)
    position = torch.randn(1, 16, 16, dtype=torch.float64)
    references = torch.rand(2, 16, 2, 2, dtype=torch.float64)
    padding = torch.rand(2, 16) < 0.3
    among_all = layer(tokens, position, references, shapes, padding)[:, :finest]
    alone = layer(tokens, position, references, shapes, padding, queries=finest)
    assert alone.shape == among_all.shape
    inputs, grad = [tokens, *layer.parameters()], torch.randn_like(alone)
    pairs = zip(
        *(torch.autograd.grad(out, inputs, grad) for out in (alone, among_all)), strict=True
    )
    assert all(error(found, expected) < 1e-12 for found, expected in pairs)
    assert error(alone, among_all) < 1e-12
