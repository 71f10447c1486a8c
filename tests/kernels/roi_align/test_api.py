"""RoIAlign on both paths: values, gradients, up-sampled maps, awkward boxes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from mfd.errors import KernelError
from mfd.kernels import roi_align, roi_align_upsampled
from tests.kernels.oracle import DEVICE, assert_as_exact_as_pytorch, roi_align_loops
from tests.kernels.roi_align.inputs import SIZES, make_inputs


def upsample(features: Tensor, coarse_hw: Tensor, fine_hw: Tensor) -> Tensor:
    """Every map's valid part, up-sampled and padded with zeros."""
    height, width = fine_hw.amax(0).tolist()
    fine = []
    for image, (h, w), size in zip(features, coarse_hw.tolist(), fine_hw.tolist(), strict=True):
        valid = image[:h, :w].permute(2, 0, 1)[None]
        large = interpolate(valid, tuple(size), mode="bilinear")[0].permute(1, 2, 0)
        fine.append(pad(large, (0, 0, 0, width - size[1], 0, height - size[0])))
    return torch.stack(fine)


@pytest.mark.parametrize("ratio", [0, 2])
def test_values_and_gradients_are_those_of_the_loops(path: str, ratio: int) -> None:
    features, boxes, images = make_inputs()
    ours = roi_align(features, boxes, images, 3, sizes_hw=SIZES, sampling_ratio=ratio)
    theirs = roi_align_loops(features, boxes, images, 3, SIZES, ratio)
    grad = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, features, grad), torch.autograd.grad(theirs, features, grad)
    )


def test_old_pixel_centres_on_request() -> None:
    features, boxes, images = make_inputs()
    ours = roi_align(features, boxes, images, 3, aligned=False)
    whole = SIZES[:1].expand(2, 2)
    torch.testing.assert_close(
        ours, roi_align_loops(features, boxes, images, 3, whole, aligned=False)
    )


@pytest.mark.parametrize("fine", [[(14, 18), (10, 12)], [(13, 19), (9, 11)], [(7, 9), (12, 17)]])
def test_upsampled_form_equals_roi_align_of_the_upsampled_map(
    path: str, fine: list[tuple[int, int]]
) -> None:
    features, boxes, images = make_inputs()
    fine_hw, add = torch.tensor(fine), torch.randn(7, 3, 3, 5, dtype=torch.float64).to(DEVICE)
    ours = roi_align_upsampled(
        features, 2 * boxes, images, 3, coarse_hw=SIZES, fine_hw=fine_hw, add=add.requires_grad_()
    )
    large = upsample(features, SIZES, fine_hw)
    theirs = roi_align_loops(large, 2 * boxes, images, 3, fine_hw) + add
    grad = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (features, add), grad),
        torch.autograd.grad(theirs, (features, add), grad),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_is_as_exact_as_pytorch(path: str, dtype: torch.dtype) -> None:
    features, boxes, images = make_inputs(dtype, channels=3)
    wide = [features.detach().to(t).requires_grad_() for t in (torch.float32, torch.float64)]
    plain, exact = (roi_align_loops(map_, boxes, images, 2, SIZES) for map_ in wide)
    ours = roi_align(features, boxes, images, 2, sizes_hw=SIZES)
    assert_as_exact_as_pytorch(ours, plain.to(dtype), exact)
    grad = torch.randn_like(ours)
    (of_ours,) = torch.autograd.grad(ours, features, grad)
    (of_plain,) = torch.autograd.grad(plain, wide[0], grad.float())
    (of_exact,) = torch.autograd.grad(exact, wide[1], grad.double())
    assert_as_exact_as_pytorch(of_ours, of_plain.to(dtype), of_exact)


def test_numerical_gradients_agree(path: str) -> None:
    features, boxes, images = make_inputs()
    assert torch.autograd.gradcheck(
        lambda map_: roi_align(map_, boxes[:2], images[:2], 2), features, fast_mode=True
    )


def test_boxes_that_are_not_finite_give_zeros(path: str) -> None:
    features, _, _ = make_inputs()
    boxes = torch.tensor([(float("nan"), 0, 3, 3), (0, 0, float("inf"), 3), (0, 0, 1e30, 1e30)])
    out = roi_align(features, boxes.to(features), torch.tensor([0, 1, 0], device=DEVICE), 3)
    assert not out.any()


def test_no_boxes_and_images_without_boxes(path: str) -> None:
    features, boxes, images = make_inputs()
    none = roi_align(features, boxes[:0], images[:0], 3)
    assert none.shape == (0, 3, 3, 5)
    none.sum().backward()
    assert features.grad is not None
    assert not features.grad.any()
    only_second = torch.ones_like(images)
    (grad,) = torch.autograd.grad(roi_align(features, boxes, only_second, 3).sum(), features)
    assert not grad[0].any()
    assert grad[1].any()


def test_a_crowd_of_boxes_in_one_image(path: str) -> None:
    features, _, _ = make_inputs(torch.float32)
    corners = torch.rand(100, 2, device=DEVICE) * 5
    boxes = torch.cat([corners, corners + 3], 1)
    images = torch.zeros(100, dtype=torch.long, device=DEVICE)
    (grad,) = torch.autograd.grad(roi_align(features, boxes, images, 1).sum(), features)
    torch.testing.assert_close(grad.sum(), torch.tensor(500.0, device=DEVICE))  # weights sum to 1


def test_gradient_reaches_a_block_of_which_one_column_is_read(path: str) -> None:
    """Of 40 columns the box reads 30 to 32; backward programs make 32 at a time."""
    features = torch.randn(1, 3, 40, 2, dtype=torch.float64).to(DEVICE).requires_grad_()
    boxes = torch.tensor([(30.0, 0.5, 33.0, 2.5)], dtype=torch.float64, device=DEVICE)
    images, sizes = torch.zeros(1, dtype=torch.long, device=DEVICE), torch.tensor([(3, 40)])
    ours = roi_align(features, boxes, images, 1)
    theirs = roi_align_loops(features, boxes, images, 1, sizes)
    (of_ours,), (of_theirs,) = (torch.autograd.grad(o.sum(), features) for o in (ours, theirs))
    assert of_theirs[0, :, 32].any()
    torch.testing.assert_close(of_ours, of_theirs)


def test_padding_of_a_map_is_never_read(path: str) -> None:
    features, boxes, images = make_inputs()
    poisoned = features.detach().clone()
    poisoned[1, 5:], poisoned[1, :, 6:] = float("nan"), float("nan")
    out = roi_align_upsampled(poisoned, boxes, images, 2, coarse_hw=SIZES, fine_hw=2 * SIZES)
    assert out.isfinite().all()


def test_strided_maps_and_expanded_gradients(path: str) -> None:
    features, boxes, images = make_inputs(torch.float32)
    turned = features.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)  # channels first
    assert not turned.is_contiguous()
    results = [
        torch.autograd.grad(roi_align(map_, boxes, images, 2).sum(), features)
        for map_ in (turned, features)
    ]
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("cells", [14, 17])
def test_any_number_of_cells_and_channels_fits_the_blocks(path: str, cells: int) -> None:
    features, boxes, images = make_inputs(torch.float64, channels=70)
    ours = roi_align(features, boxes[1:2], images[1:2], cells, sizes_hw=SIZES)
    few = features[..., ::23].contiguous()
    theirs = roi_align_loops(few, boxes[1:2], images[1:2], cells, SIZES)
    torch.testing.assert_close(ours[..., ::23], theirs)


def test_pointwise_neck_commutes_with_roi_align() -> None:
    features, boxes, images = make_inputs()
    neck = nn.Linear(5, 4).double().to(DEVICE)
    map_first = roi_align(neck(features), boxes, images, 3)
    share_inside = roi_align(torch.ones_like(features[..., :1]), boxes, images, 3)
    boxes_first = roi_align(features, boxes, images, 3) @ neck.weight.T + neck.bias * share_inside
    torch.testing.assert_close(map_first, boxes_first)


def test_inputs_that_do_not_fit_are_refused() -> None:
    features, boxes, images = make_inputs()
    with pytest.raises(KernelError, match="image_index"):
        roi_align(features, boxes, images[:3], 3)
    with pytest.raises(KernelError, match="expected floats of shape"):
        roi_align(features[0], boxes, images, 3)
    with pytest.raises(KernelError, match="add is torch"):
        roi_align_upsampled(
            features, boxes, images, 3, coarse_hw=SIZES, fine_hw=SIZES, add=features
        )
