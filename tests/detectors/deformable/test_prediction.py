"""Box and class heads."""

import torch

from mfd.detectors.deformable.prediction import box_head, class_head, inverse_sigmoid


def test_inverse_sigmoid_undoes_sigmoid_and_stays_finite_at_the_edges() -> None:
    logits = torch.linspace(-6, 6, 13)
    assert inverse_sigmoid(logits.sigmoid(), 1e-5).allclose(logits, atol=1e-3)
    edges = inverse_sigmoid(torch.tensor([-1.0, 0.0, 1.0, 2.0]), 1e-3)
    bound = torch.tensor(1e-3).reciprocal().log()
    assert edges.allclose(torch.stack((-bound, -bound, bound, bound)), atol=1e-3)


def test_untrained_heads_leave_boxes_as_they_are_and_score_one_percent() -> None:
    assert box_head(8)(torch.randn(2, 3, 8)).equal(torch.zeros(2, 3, 4))
    assert class_head(8, 5).bias.sigmoid().allclose(torch.tensor(0.01), atol=1e-4)
