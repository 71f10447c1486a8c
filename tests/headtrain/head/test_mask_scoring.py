"""The mask scoring head."""

import torch

from mfd.headtrain.head.mask_scoring import PRIOR_IOU, MaskScoring


def test_one_estimate_per_class_at_every_region_size() -> None:
    for size in (8, 16, 32):
        head = MaskScoring(12, size, num_classes=5)
        assert head(torch.randn(3, size, size), torch.randn(3, size, size, 12)).shape == (3, 5)
        assert head(torch.randn(0, size, size), torch.randn(0, size, size, 12)).shape == (0, 5)


def test_it_sees_the_mask_as_probabilities_and_shapes_neither_it_nor_the_regions() -> None:
    head = MaskScoring(12, 16, num_classes=5)
    logits = torch.randn(3, 16, 16, requires_grad=True)
    regions = torch.randn(3, 16, 16, 12, requires_grad=True)
    estimate = head(logits, regions)
    assert not torch.equal(estimate, head(-logits, regions))
    saturated = torch.full_like(logits, 50.0)
    torch.testing.assert_close(head(saturated, regions), head(2 * saturated, regions))
    estimate.sum().backward()
    assert logits.grad is None
    assert regions.grad is None
    assert all(parameter.grad.any() for parameter in head.parameters())


def test_before_training_every_class_is_estimated_alike() -> None:
    for size in (8, 16, 32):
        head = MaskScoring(128, size, num_classes=80)
        estimate = head(torch.randn(9, size, size), torch.randn(9, size, size, 128))
        assert (estimate - PRIOR_IOU).abs().max() < 0.1


def test_estimates_begin_near_the_prior_of_every_class() -> None:
    scoring = MaskScoring(12, 16, 5)
    estimates = scoring(torch.randn(3, 16, 16), torch.randn(3, 16, 16, 12))
    assert (estimates - 0.7).abs().max() < 0.05
