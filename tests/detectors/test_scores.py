"""The best detections of logits: of several images at once, those of each alone."""

from dataclasses import replace

import pytest
import torch

from mfd.detectors.scores import top_detections
from tests.builders.batches import toy_spec


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
@pytest.mark.parametrize("once", [False, True])
def test_detections_of_a_batch_are_those_of_each_image(scores: str, once: bool) -> None:
    spec = replace(toy_spec(), scores=scores)
    logits = torch.randn(3, spec.num_queries, spec.num_logits)
    together = top_detections(logits, spec, 7, once=once)
    alone = [top_detections(each, spec, 7, once=once) for each in logits]
    for found, expected in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(found, torch.stack(expected))
