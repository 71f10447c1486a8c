"""The faults that `plant_faults.py` plants, one a line."""

# ruff: noqa: E501

from typing import NamedTuple


class Fault(NamedTuple):
    """One mistake in one file.

    Attributes:
        name: unique.
        file: in the repository.
        tests: file or folder of the tests that must catch it: those beside the file.
        right: what stands in the file, wherever it occurs.
        wrong: what stands there by mistake.
    """

    name: str
    file: str
    tests: str
    right: str
    wrong: str


def faults(file: str, tests: str, *mistakes: tuple[str, str, str]) -> list[Fault]:
    """Faults of one file; `mistakes` are (name, right, wrong)."""
    return [Fault(name, file, tests, right, wrong) for name, right, wrong in mistakes]


# fmt: off
FAULTS = (
    *faults(
        "mfd/kernels/deform_attn/cells.py", "tests/kernels/deform_attn",
        ("axes swapped", "_axis(x, reference_x, width, FUSED)", "_axis(x, reference_x, height, FUSED)"),
        ("half a pixel off", "    point -= 0.5\n", ""),
        ("points outside not masked", "first = tl.maximum(1.0 - tl.abs(distance), 0.0)", "first = 1.0 - tl.abs(distance)"),
        ("neighbour beyond a map of one pixel", "has_next = tl.where(size > 1, 1.0, 0.0)", "has_next = 1.0"),
        ("level offset lost", "return start + line * width", "return line * width"),
        ("rows as long as columns", "start + line * width", "start + line * height"),
    ),
    *faults(
        "mfd/kernels/deform_attn/triton.py", "tests/kernels/deform_attn",
        ("next level at the same place", "        start += height * width\n", ""),
        ("wrong head stride", "S * M * D + head * D\n", "S * M * D + head\n"),
        ("softmax not normalised", "        acc /= total[:, None]\n", "        acc /= 1.0\n"),
        ("softmax gradient without its mean", "(all_weights - tl.sum(attention * all_weights, 1)[:, None])", "all_weights"),
        ("spare queries of the last block added", "added = (q < Q)[:, None]", "added = (q >= 0)[:, None]"),
        ("gradient in pixels instead of map sizes", "                x_grad *= width\n", ""),
    ),
    *faults(
        "mfd/kernels/deform_attn/launch.py", "tests/kernels/deform_attn",
        ("gradient of value not cleared first", "of_value = torch.zeros(", "of_value = torch.empty("),
    ),
    *faults(
        "mfd/kernels/roi_align/triton.py", "tests/kernels/roi_align",
        ("first image read for all boxes", "tl.load(image + box)", "tl.load(image)"),
        ("last row of cells forgotten", "while row < last:", "while row < last - 1:"),
        ("boxes taken in the order given", "box = tl.load(order + i)", "box = i"),
    ),
    *faults(
        "mfd/kernels/roi_align/taps.py", "tests/kernels/roi_align",
        ("up-sampling past the border", " * ratio - 0.5).clamp(min=0)", " * ratio - 0.5)"),
    ),
    *faults(
        "mfd/kernels/flops.py", "tests/kernels/test_flops.py",
        ("one corner of a point counted", "return 2 * 4 * prod", "return 2 * prod"),
        ("formulas missing where the counter comes later", "sys.meta_path.insert(0, _Registrar())", "pass"),
    ),
    *faults(
        "mfd/headtrain/head/regions.py", "tests/headtrain/head",
        ("one RoIAlign sample per cell and axis", "SAMPLING_RATIO = 2", "SAMPLING_RATIO = 1"),
        ("C1 lost from the map", "c1 + upsample(", "upsample("),
        ("bias added outside the image, too", "+ inside * self.mapper.bias", "+ self.mapper.bias"),
    ),
    *faults(
        "mfd/headtrain/presets/sizes.py", "tests/headtrain/presets",
        ("RoIAlign priced by its corners alone", "ROI_ALIGN_MACS = 18", "ROI_ALIGN_MACS = 16"),
        ("further layers counted once too often", "config.box_layers - 1", "config.box_layers"),
    ),
)
