"""From queries and regions to mask logits."""

import torch

from mfd.headtrain.head.mask_head import DotProduct, SegmenterHead
from tests.builders.batches import error


def test_a_logit_is_the_scaled_product_of_a_query_and_a_cell() -> None:
    queries, regions = torch.randn(3, 16), torch.randn(3, 4, 5, 16)
    found = DotProduct()(queries, regions)
    assert found.shape == (3, 4, 5)
    expected = (queries[2] * regions[2, 1, 3]).sum() / 4
    torch.testing.assert_close(found[2, 1, 3], expected)


def test_one_map_serves_all_queries_of_an_image() -> None:
    queries, maps = torch.randn(3, 16), torch.randn(1, 4, 5, 16)
    expected = DotProduct()(queries, maps.expand(3, -1, -1, -1))
    assert error(DotProduct()(queries, maps), expected) < 1e-6


def test_segmenters_logits_are_cosines_times_the_scale() -> None:
    head = SegmenterHead(16)
    queries, regions = torch.randn(3, 16), torch.randn(3, 4, 5, 16)
    found = head(queries, regions)
    assert error(head(3 * queries, 0.2 * regions), found) < 1e-5
    assert found.abs().max() <= head.scale
    query, cell = head.query_projection(queries[1]), head.region_projection(regions[1, 2, 2])
    cosine = torch.cosine_similarity(query, cell, dim=0)
    torch.testing.assert_close(found[1, 2, 2], cosine * head.scale)
