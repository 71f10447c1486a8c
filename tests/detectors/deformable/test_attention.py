"""Deformable attention: where it samples and what padding reads."""

import torch
from torch import Tensor

from mfd.detectors.deformable.attention import DeformableAttention
from mfd.kernels import ms_deform_attn

SIZES = ((5, 9), (3, 4))
HEADS, POINTS, DIM, QUERIES = 2, 3, 8, 7


def _inputs() -> tuple[DeformableAttention, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    attention = DeformableAttention(DIM, HEADS, len(SIZES), POINTS)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    area = sum(height * width for height, width in SIZES)
    padding = torch.rand(2, area) < 0.3
    query, tokens = torch.randn(2, QUERIES, DIM), torch.randn(2, area, DIM)
    return attention, query, tokens, padding, torch.tensor(SIZES)


def _expected(
    attention: DeformableAttention, query: Tensor, tokens: Tensor, padding: Tensor, where: Tensor
) -> Tensor:
    """The same by the plain operator, given sampling locations (B, Q, M, L, P, 2)."""
    value = attention.value_proj(tokens).masked_fill(padding[..., None], 0)
    weights = attention.attention_weights(query).view(2, QUERIES, HEADS, -1).softmax(-1)
    read = ms_deform_attn(
        value.view(2, -1, HEADS, DIM // HEADS),
        torch.tensor(SIZES),
        where,
        weights.view(2, QUERIES, HEADS, len(SIZES), POINTS),
    )
    return attention.output_proj(read.flatten(-2))


def test_offsets_around_a_point_are_pixels_of_the_sampled_level() -> None:
    attention, query, tokens, padding, shapes = _inputs()
    points = torch.rand(2, QUERIES, len(SIZES), 2)
    offsets = attention.sampling_offsets(query).view(2, QUERIES, HEADS, len(SIZES), POINTS, 2)
    width_height = torch.tensor([[9.0, 5.0], [4.0, 3.0]])[:, None]
    where = points[:, :, None, :, None] + offsets / width_height
    found = attention(query, points, tokens, padding, shapes)
    assert found.allclose(_expected(attention, query, tokens, padding, where), atol=1e-5)


def test_offsets_around_a_box_are_half_boxes_over_the_points() -> None:
    attention, query, tokens, padding, shapes = _inputs()
    boxes = torch.rand(2, QUERIES, len(SIZES), 4)
    offsets = attention.sampling_offsets(query).view(2, QUERIES, HEADS, len(SIZES), POINTS, 2)
    centre, extent = boxes[:, :, None, :, None].chunk(2, -1)
    where = centre + offsets / POINTS * extent * 0.5
    found = attention(query, boxes, tokens, padding, shapes)
    assert found.allclose(_expected(attention, query, tokens, padding, where), atol=1e-5)


def test_what_stands_on_padding_is_never_read() -> None:
    attention, query, tokens, padding, shapes = _inputs()
    points = torch.rand(2, QUERIES, len(SIZES), 2)
    changed = torch.where(padding[..., None], 100.0, tokens)
    first, second = (attention(query, points, t, padding, shapes) for t in (tokens, changed))
    assert first.equal(second)


def test_heads_start_on_rays_of_their_own_one_pixel_per_point() -> None:
    attention = DeformableAttention(32, 8, 2, 3)
    offsets = attention.sampling_offsets.bias.view(8, 2, 3, 2)
    assert offsets[:, 0].equal(offsets[:, 1])
    assert offsets.abs().amax(-1)[:, 0].allclose(torch.tensor([1.0, 2.0, 3.0]).expand(8, -1))
    directions = offsets[:, 0, 0] / offsets[:, 0, 0].norm(dim=-1, keepdim=True)
    assert (directions @ directions.T).fill_diagonal_(-1).max() < 0.8
