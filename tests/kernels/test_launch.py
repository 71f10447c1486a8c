"""Launches write every element of what they return."""

import pytest
import torch
from torch import Tensor

from mfd.kernels import ms_deform_attn_fused, roi_align
from tests.kernels.oracle import roi_align_loops
from tests.kernels.test_deform_attn import from_fused, fused_inputs
from tests.kernels.test_roi_align import make_inputs as roi_inputs


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody has written holds NaN, where PyTorch promises nothing."""
    if torch.cuda.is_available():
        torch.full((2**28,), float("nan"), device="cuda")  # freed at once, handed out again
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
        make = getattr(owner, name)

        def filled(*args: object, make=make, **options: object) -> Tensor:
            tensor = make(*args, **options)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

        monkeypatch.setattr(owner, name, filled)


def test_every_element_of_attention_and_its_gradients_is_written(path: str, poisoned: None) -> None:
    shapes = torch.tensor([(3, 4), (1, 1)])  # pixels that no point reads have a gradient too
    value, _, *leaves = fused_inputs(
        torch.float32, shapes=shapes, batch=1, queries=3, heads=1, dim=5, points=1
    )
    inputs = (value, *leaves)
    ours = ms_deform_attn_fused(value, shapes, *leaves)
    theirs = from_fused(value, shapes, *leaves)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum(), inputs), torch.autograd.grad(theirs.sum(), inputs)
    )


def test_every_element_of_cells_and_of_their_gradient_is_written(path: str, poisoned: None) -> None:
    features, boxes, _ = roi_inputs(torch.float32)
    images = torch.ones(2, dtype=torch.long, device=boxes.device)  # none reads the first map
    ours = roi_align(features, boxes[:2], images, 3)
    theirs = roi_align_loops(features, boxes[:2], images, 3, torch.tensor([(7, 9)] * 2))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum(), features), torch.autograd.grad(theirs.sum(), features)
    )
