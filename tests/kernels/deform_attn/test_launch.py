"""Launches of deformable attention write every element of what they return."""

import torch

from mfd.kernels import ms_deform_attn_fused
from tests.kernels.deform_attn.inputs import from_fused, fused_inputs


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
