"""The kernels under the names and arguments of the two modules they can replace.

`ms_deform_attn_forward` and `ms_deform_attn_backward` are those of Deformable DETR's CUDA module
`MultiScaleDeformableAttention`, `roi_align` is torchvision's:

    sys.modules["MultiScaleDeformableAttention"] = mfd.kernels.drop_in
    torchvision.ops.roi_align = mfd.kernels.drop_in.roi_align
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mfd.errors import KernelError
from mfd.kernels.deform_attn import ms_deform_attn
from mfd.kernels.deform_attn.op import gradients
from mfd.kernels.roi_align.api import axis_tables, check_boxes
from mfd.kernels.roi_align.op import roi_read


def ms_deform_attn_forward(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    level_start_index: Int[Tensor, " L"],
    sampling_locations: Float[Tensor, "B Q M L P 2"],
    attention_weights: Float[Tensor, "B Q M L P"],
    im2col_step: int = 64,
) -> Float[Tensor, "B Q M*D"]:
    """`ms_deform_attn` as Deformable DETR's module has it, with a gradient of its own besides.

    Args:
        value: see `ms_deform_attn`, as the other tensors.
        spatial_shapes: (H, W) of each map, pixels.
        level_start_index: where each map begins in S: one after the other. Checked on a CPU.
        sampling_locations: (x, y) in parts of the map.
        attention_weights: normally sum to 1 over (L, P).
        im2col_step: has no effect; the whole batch is one launch.

    Raises:
        KernelError: if shapes do not fit each other, or maps do not lie one after the other.
    """
    _check_starts(spatial_shapes, level_start_index)
    read = ms_deform_attn(value, spatial_shapes, sampling_locations, attention_weights)
    return read.flatten(2)


@torch.no_grad()
def ms_deform_attn_backward(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    level_start_index: Int[Tensor, " L"],
    sampling_locations: Float[Tensor, "B Q M L P 2"],
    attention_weights: Float[Tensor, "B Q M L P"],
    grad_output: Float[Tensor, "B Q M*D"],
    im2col_step: int = 64,
) -> tuple[Float[Tensor, "B S M D"], Float[Tensor, "B Q M L P 2"], Float[Tensor, "B Q M L P"]]:
    """The gradients of value, locations and weights, given that of the forward result.

    Raises:
        KernelError: if maps do not lie one after the other.
    """
    _check_starts(spatial_shapes, level_start_index)
    of_value, of_points, of_weights = gradients(
        grad_output.unflatten(2, value.shape[2:]),
        value,
        spatial_shapes,
        sampling_locations.flatten(3, 4),
        attention_weights.flatten(3),
        None,
        True,
        True,
    )
    return (
        of_value,
        of_points.view(sampling_locations.shape),
        of_weights.view(attention_weights.shape),
    )


def roi_align(
    input: Float[Tensor, "B C H W"],
    boxes: Float[Tensor, "N 5"] | Sequence[Float[Tensor, "_n 4"]],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Float[Tensor, "N C h w"]:
    """RoIAlign by torchvision's arguments; `mfd.kernels.roi_align` says what it computes.

    Args:
        input: channels first; a map in `torch.channels_last` is read as it lies.
        boxes: corners after the index of their image, or the corners of each image.
        output_size: the side of the grid, or its height and width.
        spatial_scale: pixels of the map per unit of the boxes.
        sampling_ratio: samples per cell and axis; 0 or less takes one per pixel (rounded up).
        aligned: whether pixel centres lie at one half.

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    features = input.permute(0, 2, 3, 1)
    if isinstance(boxes, Tensor):
        if boxes.ndim != 2 or boxes.shape[1] != 5:
            raise KernelError(
                f"boxes have shape {tuple(boxes.shape)}; expected (boxes, 5), the first being the "
                "index of the image, or a list with a tensor (boxes, 4) for every image"
            )
        image, corners = boxes[:, 0].long(), boxes[:, 1:]
    else:
        if len(boxes) != len(input):
            raise KernelError(f"boxes of {len(boxes)} images, but {len(input)} maps")
        counts = torch.tensor([len(of_image) for of_image in boxes], device=input.device)
        image = torch.arange(len(boxes), device=input.device).repeat_interleave(counts)
        corners = torch.cat([*boxes])
    check_boxes(features, corners, image)
    height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
    sizes = image.new_tensor(features.shape[1:3]).expand(len(features), 2)
    most = max(height, width)  # the operator reads a square; cells without taps read zero

    def table(axis: int, cells: int) -> list[Tensor]:
        taps = axis_tables(
            corners * spatial_scale, image, sizes, None, cells, max(sampling_ratio, 0), aligned
        )[axis]
        return [pad(part, (0, 0, 0, most - cells)) for part in taps]

    cells = roi_read(features, *table(0, height), *table(1, width), image, None)
    return cells[:, :height, :width].permute(0, 3, 1, 2)


def _check_starts(spatial_shapes: Tensor, level_start_index: Tensor) -> None:
    if torch.compiler.is_compiling() or level_start_index.device.type != "cpu":
        return
    areas = spatial_shapes.prod(1).to(level_start_index)
    if not torch.equal(expected := areas.cumsum(0) - areas, level_start_index):
        raise KernelError(
            f"level_start_index is {level_start_index.tolist()}; maps must lie one after the "
            f"other, at {expected.tolist()}"
        )
