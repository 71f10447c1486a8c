"""RoIAlign, and RoIAlign of an up-sampled map taken from the coarser one: public functions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.errors import KernelError
from mfd.kernels.roi_align.op import roi_read, roi_taps
from mfd.kernels.roi_align.taps import Taps, box_taps, narrowed


def roi_align(
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

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    check_boxes(features, boxes_xyxy, image_index)
    if sizes_hw is None:
        sizes_hw = image_index.new_tensor(features.shape[1:3]).expand(features.shape[0], 2)
    reader = BoxReader(
        boxes_xyxy, image_index, output_size,
        fine_hw=sizes_hw, sampling_ratio=sampling_ratio, aligned=aligned,
    )  # fmt: skip
    return reader.fine(features)


def roi_align_upsampled(
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
        add: added to the result, in the same pass.

    Raises:
        KernelError: if the shapes do not fit each other.
    """
    check_boxes(coarse, boxes_xyxy, image_index)
    reader = BoxReader(
        boxes_xyxy, image_index, output_size,
        fine_hw=fine_hw, coarse_hw=coarse_hw, sampling_ratio=sampling_ratio,
    )  # fmt: skip
    return reader.coarse(coarse, add)


class BoxReader:
    """RoIAlign of several maps over the same boxes; the tables of taps are made once."""

    def __init__(
        self,
        boxes_xyxy: Float[Tensor, "N 4"],
        image_index: Int[Tensor, " N"],
        output_size: int,
        *,
        fine_hw: Int[Tensor, "B 2"],
        coarse_hw: Int[Tensor, "B 2"] | None = None,
        sampling_ratio: int = 2,
        aligned: bool = True,
    ) -> None:
        """Arguments as of `roi_align_upsampled`; `coarse_hw` None: only fine maps are read."""
        self._boxes, self._image, self._cells = boxes_xyxy, image_index, output_size
        where = boxes_xyxy, image_index, fine_hw
        how = output_size, sampling_ratio, aligned
        self._fine = axis_tables(*where, None, *how)
        self._coarse = None if coarse_hw is None else axis_tables(*where, coarse_hw, *how)

    def fine(self, features: Float[Tensor, "B H W C"]) -> Float[Tensor, "N s s C"]:
        """`roi_align` of maps at the resolution of the boxes."""
        return self._read(features, self._fine, None)

    def coarse(
        self, features: Float[Tensor, "B h w C"], add: Float[Tensor, "N s s C"] | None = None
    ) -> Float[Tensor, "N s s C"]:
        """`roi_align_upsampled`, plus `add`.

        Raises:
            KernelError: if `add` has another shape or type than the result.
        """
        expected = (self._boxes.shape[0], self._cells, self._cells, features.shape[3])
        if add is not None and (add.shape != expected or add.dtype != features.dtype):
            raise KernelError(
                f"add is {add.dtype} of shape {tuple(add.shape)}; "
                f"expected {features.dtype}, {expected}"
            )
        assert self._coarse is not None
        return self._read(features, self._coarse, add)

    def _read(self, features: Tensor, taps: tuple[Taps, Taps], add: Tensor | None) -> Tensor:
        check_boxes(features, self._boxes, self._image)
        y, x = taps
        return roi_read(features, y.pixel, y.weight, x.pixel, x.weight, self._image, add)


def check_boxes(features: Tensor, boxes_xyxy: Tensor, image_index: Tensor) -> None:
    """Raises KernelError unless the shapes fit each other and all are on one device."""
    if features.ndim != 4 or not features.dtype.is_floating_point:
        raise KernelError(
            f"features are {features.dtype} of shape {tuple(features.shape)}; expected floats of "
            "shape (images, height, width, channels)"
        )
    boxes = boxes_xyxy.shape[0]
    if boxes_xyxy.shape != (boxes, 4) or image_index.shape != (boxes,):
        raise KernelError(
            f"boxes_xyxy have shape {tuple(boxes_xyxy.shape)} and image_index "
            f"{tuple(image_index.shape)}; expected (boxes, 4) and (boxes,)"
        )
    if len({t.device for t in (features, boxes_xyxy, image_index)}) > 1:
        raise KernelError(
            f"features are on {features.device}, boxes_xyxy on {boxes_xyxy.device}, image_index on "
            f"{image_index.device}; move them to one device"
        )


def axis_tables(
    boxes_xyxy: Float[Tensor, "N 4"],
    image_index: Int[Tensor, " N"],
    fine_hw: Int[Tensor, "B 2"],
    coarse_hw: Int[Tensor, "B 2"] | None,
    cells: int,
    samples: int,
    aligned: bool,
) -> tuple[Taps, Taps]:
    """Vertical and horizontal taps, see `box_taps`, each with as few per cell as its axis needs."""
    # without a fixed number of samples, the tables' width is known only once they are made
    fixed = samples > 0 and not torch.compiler.is_exporting()
    make = roi_taps if fixed else box_taps
    device = image_index.device
    coarse_hw = None if coarse_hw is None else coarse_hw.to(device)
    boxes, fine_hw = boxes_xyxy.detach(), fine_hw.to(device)
    pixel, weight = make(boxes, image_index, fine_hw, coarse_hw, cells, samples, aligned)
    y, x = (narrowed(Taps(*axis)) for axis in zip(pixel, weight, strict=True))
    return y, x
