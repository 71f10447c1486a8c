"""The query encoder: who attends to whom."""

import math
from dataclasses import replace

import torch

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.query_encoder import BoxToObject, ObjectToObject, QueryLayer
from tests.builders.batches import error, randomise

IMAGE = torch.tensor([0, 0, 0, 2, 2])


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(5, 16), torch.randn(5, 4, 4, 16), torch.rand(5, 4)


def test_queries_of_other_images_are_not_seen() -> None:
    attention = randomise(ObjectToObject(16, num_heads=2))
    queries, _, boxes = inputs()
    together = attention(queries, boxes, IMAGE)
    for image in (0, 2):
        mine = image == IMAGE
        assert error(together[mine], attention(queries[mine], boxes[mine], IMAGE[mine])) < 1e-6


def test_objects_are_told_apart_by_their_boxes() -> None:
    attention = randomise(ObjectToObject(16, num_heads=2))
    queries, _, boxes = inputs()
    moved = boxes.clone()
    moved[0] = torch.tensor([0.9, 0.1, 0.3, 0.2])
    changed = (attention(queries, moved, IMAGE) - attention(queries, boxes, IMAGE)).abs().sum(1)
    assert (changed[:3] > 1e-4).all()
    assert not changed[3:].any()


def test_boxes_steer_attention_and_are_not_passed_on() -> None:
    """Where all are attended to alike, it does not matter where the boxes are."""
    attention = randomise(ObjectToObject(16, num_heads=2))
    with torch.no_grad():
        attention.attention.in_proj_weight[:32] = 0  # the projections of queries and keys
    queries, _, boxes = inputs()
    assert torch.equal(attention(queries, boxes, IMAGE), attention(queries, 1 - boxes, IMAGE))


def test_box_to_object_is_attention_of_a_query_over_its_own_region() -> None:
    module = randomise(BoxToObject(16, num_heads=2))
    queries, regions, _ = inputs()
    weight, bias = module.attention.in_proj_weight, module.attention.in_proj_bias
    (wq, wk, wv), (bq, bk, bv) = weight.chunk(3), bias.chunk(3)
    expected = []
    for query, region in zip(queries, regions.flatten(1, 2), strict=True):
        q, k, v = query @ wq.T + bq, region @ wk.T + bk, region @ wv.T + bv
        heads = [
            ((k[:, part] @ q[part]) / math.sqrt(8)).softmax(0) @ v[:, part]
            for part in (slice(8), slice(8, 16))
        ]
        expected.append(query + module.attention.out_proj(torch.cat(heads)))
    normed = module.norm(torch.stack(expected), torch.zeros_like(queries))
    assert error(module(queries, regions), normed) < 1e-5


def test_each_part_is_optional_and_none_leaves_the_queries_as_they_are() -> None:
    none = replace(HeadConfig(num_heads=2), query_ffn=False, query_b2o=False)
    queries, regions, boxes = inputs()
    assert torch.equal(QueryLayer(none, 16)(queries, regions, boxes, IMAGE), queries)
    for part in ("query_ffn", "query_o2o", "query_b2o"):
        layer = randomise(QueryLayer(replace(none, **{part: True}), 16))
        found = layer(queries, regions, boxes, IMAGE)
        assert found.shape == queries.shape
        assert not torch.equal(found, queries)


def test_no_queries_are_no_error() -> None:
    layer = QueryLayer(replace(HeadConfig(num_heads=2), query_o2o=True), 16)
    queries, regions, boxes = inputs()
    assert layer(queries[:0], regions[:0], boxes[:0], IMAGE[:0]).shape == (0, 16)
