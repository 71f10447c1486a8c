"""Launches of RoIAlign write every element of what they return."""

import torch

from mfd.kernels import roi_align
from tests.kernels.oracle import roi_align_loops
from tests.kernels.roi_align.inputs import make_inputs


def test_every_element_of_cells_and_of_their_gradient_is_written(path: str, poisoned: None) -> None:
    features, boxes, _ = make_inputs(torch.float32)
    images = torch.ones(2, dtype=torch.long, device=boxes.device)  # none reads the first map
    ours = roi_align(features, boxes[:2], images, 3)
    theirs = roi_align_loops(features, boxes[:2], images, 3, torch.tensor([(7, 9)] * 2))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum(), features), torch.autograd.grad(theirs.sum(), features)
    )
