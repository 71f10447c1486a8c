"""Multi-scale deformable attention and RoIAlign in PyTorch, differentiable and float64-safe.

The definition the Triton kernels are tested against, and the path of every device without Triton.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.kernels.roi_taps import Taps, axis_taps, merge_taps, upsampling_taps
from mfd.kernels.weighted_rows import weighted_rows


def ms_deform_attn_reference(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    sampling_locations: Float[Tensor, "B Q M L P 2"],
    attention_weights: Float[Tensor, "B Q M L P"],
) -> Float[Tensor, "B Q M D"]:
    """Sum P bilinear samples of each of L maps, weighted, for every query and head.

    Eq. 3 of Deformable DETR (arXiv:2010.04159) without its two projections.

    Args:
        value: the maps, each flattened row by row, joined along S = sum of H * W.
        spatial_shapes: (H, W) of each map, pixels.
        sampling_locations: (x, y); 0 and 1 are the outer edges of the map
            (align_corners=False). A point outside reads zero.
        attention_weights: normally sum to 1 over (L, P).
    """
    sizes_wh = spatial_shapes.flip(-1).to(sampling_locations)[:, None]  # (L, 1, 2)
    return _sample(value, spatial_shapes, sampling_locations * sizes_wh - 0.5, attention_weights)


def ms_deform_attn_fused_reference(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    offsets: Float[Tensor, "B Q M T 2"],
    logits: Float[Tensor, "B Q M T"],
    reference_points: Float[Tensor, "B Q L 2"],
) -> Float[Tensor, "B Q M D"]:
    """Multi-scale deformable attention from raw offsets and logits, T = L * P, level first.

    Args:
        value: the maps, each flattened row by row, joined along S = sum of H * W.
        spatial_shapes: (H, W) of each map, pixels.
        offsets: (x, y) from the reference point, in pixels of the level they sample.
        logits: attention before the softmax over the T points.
        reference_points: (x, y); 0 and 1 are the outer edges of the map.
    """
    levels = len(spatial_shapes)
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    attention = logits.to(exact).softmax(-1).unflatten(-1, (levels, -1))  # (B, Q, M, L, P)
    sizes_wh = spatial_shapes.flip(-1).to(value.device, exact)  # (L, 2)
    origin = reference_points.to(exact) * sizes_wh - 0.5  # (B, Q, L, 2)
    pixels = offsets.to(exact).unflatten(-2, (levels, -1)) + origin[:, :, None, :, None]
    return _sample(value, spatial_shapes, pixels, attention)


def _sample(
    value: Float[Tensor, "B S M D"],
    spatial_shapes: Int[Tensor, "L 2"],
    pixels: Float[Tensor, "B Q M L P 2"],
    attention: Float[Tensor, "B Q M L P"],
) -> Float[Tensor, "B Q M D"]:
    """The weighted samples at (x, y) in pixels, 0 being the centre of the first pixel."""
    batch, area, heads, dim = value.shape
    queries = pixels.shape[1]
    heights, widths = spatial_shapes.to(pixels.device, torch.int32)[:, :, None].unbind(1)  # (L, 1)
    areas = heights * widths
    starts = (areas.cumsum(0) - areas).int()

    x, y = pixels.unbind(-1)
    left, top = x.detach().floor(), y.detach().floor()
    x_fraction, y_fraction = x - left, y - top
    x_index, x_weight = _corners(left, x_fraction, widths)
    y_index, y_weight = _corners(top, y_fraction, heights)
    y_weight = [weight * attention for weight in y_weight]

    image = torch.arange(batch, device=value.device, dtype=torch.int32)[:, None, None, None, None]
    head = torch.arange(heads, device=value.device, dtype=torch.int32)[:, None, None]
    first = image * area + starts
    rows = [(first + index * widths) for index in y_index]
    index = torch.stack([(r + c) * heads + head for r in rows for c in x_index], -1)
    weight = torch.stack([r * c for r in y_weight for c in x_weight], -1)
    out = weighted_rows(
        value.reshape(batch * area * heads, dim),
        index.flatten(3).flatten(0, 2),
        weight.flatten(3).flatten(0, 2),
    )
    return out.view(batch, queries, heads, dim)


def _corners(low: Tensor, fraction: Tensor, size: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Two neighbours along one axis: indices inside the map, weights zero where they are not."""
    inside_low = (low >= 0) & (low < size)
    inside_high = (low >= -1) & (low < size - 1)
    bounded = torch.minimum(low.clamp(min=-1), size.to(low)).nan_to_num(0).int()
    indices = [
        torch.minimum(bounded.clamp(min=0), size - 1),
        torch.minimum(bounded + 1, size - 1),
    ]
    weights = [
        torch.where(inside_low, 1 - fraction, 0),
        torch.where(inside_high, fraction, 0),
    ]
    return indices, weights


def roi_align_reference(
    features: Float[Tensor, "B H W C"],
    boxes_xyxy: Float[Tensor, "N 4"],
    image_index: Int[Tensor, " N"],
    output_size: int,
    *,
    sizes_hw: Int[Tensor, "B 2"] | None = None,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Float[Tensor, "N s s C"]:
    """The mean of bilinear samples in every cell of an s x s grid over each box.

    Mask R-CNN (arXiv:1703.06870, section 3), with the border rules of its CUDA implementations: a
    sample more than one pixel outside reads zero, a nearer one the border.

    Args:
        features: channels last, in any float type.
        boxes_xyxy: corners, in pixels of the map; 0 is the outer edge of its first pixel. A box
            that is not finite gives zeros.
        image_index: the map each box reads.
        output_size: s.
        sizes_hw: height and width of the valid part of each map, where maps are padded; the
            border lies there.
        sampling_ratio: samples per cell and axis; 0 takes one per pixel (rounded up).
        aligned: whether pixel centres lie at one half (right) or at whole numbers (the first
            version's mistake, kept by older models; boxes are then at least one pixel wide).
    """
    y, x = _box_taps(boxes_xyxy, _sizes(features, sizes_hw)[image_index], output_size,
                     sampling_ratio, aligned)  # fmt: skip
    return _read_cells(features, image_index, merge_taps(y), merge_taps(x))


def roi_align_upsampled_reference(
    coarse: Float[Tensor, "B h w C"],
    boxes_xyxy: Float[Tensor, "N 4"],
    image_index: Int[Tensor, " N"],
    output_size: int,
    *,
    coarse_hw: Int[Tensor, "B 2"],
    fine_hw: Int[Tensor, "B 2"],
    sampling_ratio: int = 2,
    add: Float[Tensor, "N s s C"] | None = None,
) -> Float[Tensor, "N s s C"]:
    """RoIAlign of bilinearly up-sampled maps, without the up-sampled maps.

    Equals `roi_align(interpolate(coarse[i, :h_i, :w_i], fine_hw[i], mode="bilinear"), boxes)` for
    every image i, exactly: both steps are linear and separable, so their taps compose.

    Args:
        coarse: channels last; rows and columns beyond `coarse_hw` are not read.
        boxes_xyxy: in pixels of the fine map; see `roi_align`.
        image_index: the map each box reads.
        output_size: s.
        coarse_hw: valid height and width of each coarse map.
        fine_hw: height and width it is up-sampled to.
        sampling_ratio: samples per cell and axis on the fine map; 0 takes one per pixel.
        add: added to the result.
    """
    fine, size = fine_hw.to(coarse.device)[image_index], coarse_hw.to(coarse.device)[image_index]
    y, x = _box_taps(boxes_xyxy, fine, output_size, sampling_ratio, aligned=True)
    y = upsampling_taps(y, fine[:, 0], size[:, 0])
    x = upsampling_taps(x, fine[:, 1], size[:, 1])
    cells = _read_cells(coarse, image_index, merge_taps(y), merge_taps(x))
    return cells if add is None else cells + add


def _sizes(features: Tensor, sizes_hw: Tensor | None) -> Int[Tensor, "B 2"]:
    if sizes_hw is not None:
        return sizes_hw.to(features.device)
    return torch.tensor(features.shape[1:3], device=features.device).expand(len(features), 2)


def _box_taps(
    boxes: Tensor, size_hw: Tensor, cells: int, samples: int, aligned: bool
) -> tuple[Taps, Taps]:
    """Vertical and horizontal taps of every box."""
    x0, y0, x1, y1 = boxes.detach().unbind(-1)
    y = axis_taps(y0, y1, size_hw[:, 0], cells, samples, aligned)
    x = axis_taps(x0, x1, size_hw[:, 1], cells, samples, aligned)
    return y, x


def _read_cells(features: Tensor, image_index: Tensor, y: Taps, x: Taps) -> Tensor:
    """The sum over the taps of both axes, for every cell of every box."""
    _, height, width, channels = features.shape
    boxes, cells, _ = y.pixel.shape
    row = (image_index[:, None, None] * height + y.pixel) * width  # (N, s, T)
    index = row[:, :, None, :, None] + x.pixel[:, None, :, None, :]  # (N, s, s, T, T')
    weight = y.weight[:, :, None, :, None] * x.weight[:, None, :, None, :]
    out = weighted_rows(
        features.reshape(-1, channels),
        index.flatten(3).flatten(0, 2).int(),
        weight.flatten(3).flatten(0, 2),
    )
    return out.view(boxes, cells, cells, channels)
