"""The kernels under other packages' names: their arguments, results, gradients and errors."""

import pytest
import torch
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels import drop_in, layers
from tests.kernels.deform_attn.inputs import SHAPES, make_inputs
from tests.kernels.oracle import DEVICE, deform_attn_grid_sample, roi_align_loops
from tests.kernels.roi_align import inputs as rois

STARTS = torch.tensor([0, 35, 41, 45])
WHOLE = rois.SIZES[:1].expand(2, 2)  # all of both maps is valid


def test_deformable_attention_has_the_modules_results_and_gradients(path: str) -> None:
    value, shapes, locations, weights = make_inputs()
    arguments = (value, shapes, STARTS, locations, weights)
    expected = deform_attn_grid_sample(value, shapes, locations, weights).flatten(2)
    torch.testing.assert_close(drop_in.ms_deform_attn_forward(*arguments, 64), expected)
    grad = torch.randn_like(expected)
    torch.testing.assert_close(
        drop_in.ms_deform_attn_backward(*arguments, grad, 64),
        torch.autograd.grad(expected, (value, locations, weights), grad),
    )


def test_deformable_attention_refuses_maps_in_another_order() -> None:
    value, shapes, locations, weights = make_inputs()
    with pytest.raises(KernelError, match=r"\[0, 41, 35, 45\].* at \[0, 35, 41, 45\]"):
        drop_in.ms_deform_attn_forward(value, shapes, STARTS[[0, 2, 1, 3]], locations, weights)


def test_layer_is_that_of_transformers() -> None:
    modeling = pytest.importorskip("transformers.models.deformable_detr.modeling_deformable_detr")
    value, shapes, locations, weights = make_inputs()
    sizes = [tuple(size) for size in SHAPES.tolist()]
    arguments = (value, shapes, sizes, STARTS, locations, weights, 64)
    torch.testing.assert_close(
        layers.MultiScaleDeformableAttention()(*arguments),
        modeling.MultiScaleDeformableAttention()(*arguments),
    )


@pytest.mark.parametrize("cells", [3, (2, 4), (4, 1)])
@pytest.mark.parametrize(("ratio", "aligned"), [(-1, False), (2, True)])
def test_roi_align_has_the_results_and_gradients_of_the_loops(
    path: str, cells: int | tuple[int, int], ratio: int, aligned: bool
) -> None:
    features, boxes, images = rois.make_inputs()
    with_index = torch.cat([images[:, None].to(boxes), boxes], 1)
    ours = drop_in.roi_align(features.permute(0, 3, 1, 2), with_index, cells, 0.5, ratio, aligned)
    theirs = roi_align_loops(features, boxes / 2, images, cells, WHOLE, max(ratio, 0), aligned)
    theirs = theirs.permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, theirs)
    grad = torch.randn_like(theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, features, grad), torch.autograd.grad(theirs, features, grad)
    )


def test_roi_align_takes_a_list_of_boxes_for_each_image() -> None:
    features, boxes, _ = rois.make_inputs()
    maps = features.permute(0, 3, 1, 2)
    index = torch.tensor([0.0] * 5 + [1.0] * 2, dtype=boxes.dtype, device=DEVICE)[:, None]
    torch.testing.assert_close(
        drop_in.roi_align(maps, [boxes[:5], boxes[5:]], 3),
        drop_in.roi_align(maps, torch.cat([index, boxes], 1), 3),
    )


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(3, 4), r"boxes have shape \(3, 4\); expected \(boxes, 5\)"),
        ([torch.zeros(3, 4)], "boxes of 1 images, but 2 maps"),
        ([torch.zeros(3, 5), torch.zeros(1, 5)], r"boxes_xyxy have shape \(4, 5\)"),
    ],
)
def test_roi_align_says_which_boxes_it_takes(boxes: Tensor | list[Tensor], message: str) -> None:
    with pytest.raises(KernelError, match=message):
        drop_in.roi_align(torch.zeros(2, 5, 7, 9), boxes, 3)
