"""The best detections of logits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mfd.detectors.scores import class_scores, top_detections
from tests.builders.batches import CLASSES, toy_spec


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
@pytest.mark.parametrize("once", [False, True])
def test_detections_of_a_batch_are_those_of_each_image(scores: str, once: bool) -> None:
    spec = replace(toy_spec(), scores=scores)
    logits = torch.randn(3, spec.num_queries, spec.num_logits)
    together = top_detections(logits, spec, 7, once=once)
    alone = [top_detections(each, spec, 7, once=once) for each in logits]
    for found, expected in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(found, torch.stack(expected))


def test_sigmoid_detections_are_the_best_pairs_in_order() -> None:
    logits = torch.randn(7, CLASSES)
    scores, queries, columns = top_detections(logits, toy_spec(), 10)
    flat = 1 / (1 + np.exp(-logits.double().numpy().ravel()))
    order = np.argsort(-flat)[:10]
    np.testing.assert_allclose(scores, flat[order], rtol=1e-6)
    np.testing.assert_array_equal(queries * CLASSES + columns, order)


def test_softmax_detections_name_a_query_once_and_never_no_object() -> None:
    logits = torch.randn(7, CLASSES + 1)
    logits[2, CLASSES] = 50.0  # query 2 is surely no object
    spec = replace(toy_spec(), scores="softmax")
    scores, queries, columns = top_detections(logits, spec, 100)
    assert sorted(queries.tolist()) == list(range(7))
    assert queries[-1] == 2
    assert columns.max() < CLASSES
    torch.testing.assert_close(scores, class_scores(logits, spec)[queries, columns])


def test_asking_for_more_detections_than_there_are_gives_all() -> None:
    scores, _, _ = top_detections(torch.randn(2, CLASSES), toy_spec(), 100)
    assert len(scores) == 2 * CLASSES
