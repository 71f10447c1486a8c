"""Pasting against the bilinear formula written out pixel by pixel, and against pycocotools."""

import tracemalloc

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from pycocotools import mask as mask_utils

from mfd.headtrain.inference import paste
from mfd.headtrain.inference.paste import Rle, encode_columns

# pycocotools' decode, the oracle here, is not written for numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE_HW = (37, 53)

BOXES = {
    "inside": (7.3, 5.9, 40.2, 29.6),
    "on pixel edges": (7.0, 5.0, 40.0, 29.0),
    "whole image": (0.0, 0.0, 53.0, 37.0),
    "beyond the left and top": (-11.4, -6.2, 20.7, 18.1),
    "beyond the right and bottom": (30.3, 20.8, 71.9, 44.4),
    "beyond all edges": (-5.5, -9.1, 60.3, 40.8),
    "full height": (9.2, -1.0, 31.7, 39.0),
    "lower than the map": (3.2, 4.1, 49.0, 7.8),
    "below one pixel, with a centre": (12.3, 20.2, 12.9, 20.8),
}
EMPTY_BOXES = {
    "between pixel centres": (12.6, 20.6, 13.4, 21.4),
    "without width": (12.5, 3.0, 12.5, 9.0),
    "left of the image": (-20.0, 3.0, -2.0, 9.0),
    "below the image": (3.0, 40.0, 20.0, 60.0),
    "upside down": (20.0, 20.0, 10.0, 10.0),
}


def paste_mask(
    probabilities: Float[np.ndarray, "h w"],
    box_xyxy: Float[np.ndarray, "4"],
    size_hw: tuple[int, int],
) -> Rle:
    tensor = torch.from_numpy(probabilities.copy())
    return paste.paste_mask(tensor, torch.from_numpy(box_xyxy), size_hw)


def fill_box(box_xyxy: Float[np.ndarray, "4"], size_hw: tuple[int, int]) -> Rle:
    return paste.fill_box(torch.from_numpy(box_xyxy), size_hw)


def probability_at(
    probabilities: Float[np.ndarray, "h w"], box_xyxy: tuple[float, ...], x: float, y: float
) -> float | None:
    """The map at a point of the image by the formula, or None outside of the box."""
    left, top, right, bottom = box_xyxy
    if not (left <= x < right and top <= y < bottom):
        return None
    rows, columns = probabilities.shape
    u = min(max((x - left) / (right - left) * columns - 0.5, 0), columns - 1)
    v = min(max((y - top) / (bottom - top) * rows - 0.5, 0), rows - 1)
    j, i = min(int(u), max(columns - 2, 0)), min(int(v), max(rows - 2, 0))
    du, dv = u - j, v - i
    j1, i1 = min(j + 1, columns - 1), min(i + 1, rows - 1)
    above = (1 - du) * probabilities[i, j] + du * probabilities[i, j1]
    below = (1 - du) * probabilities[i1, j] + du * probabilities[i1, j1]
    return float((1 - dv) * above + dv * below)


def oracle(
    probabilities: Float[np.ndarray, "h w"], box_xyxy: tuple[float, ...]
) -> tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """The mask in float64, and where rounding may decide otherwise."""
    exact = np.zeros(SIZE_HW)
    for y in range(SIZE_HW[0]):
        for x in range(SIZE_HW[1]):
            found = probability_at(probabilities.astype(np.float64), box_xyxy, x + 0.5, y + 0.5)
            exact[y, x] = 0 if found is None else found
    return exact > 0.5, np.abs(exact - 0.5) < 8 * np.finfo(np.float32).eps


@pytest.mark.parametrize("shape", [(16, 16), (7, 7), (1, 1), (5, 12)])
@pytest.mark.parametrize("box_xyxy", BOXES.values(), ids=BOXES.keys())
def test_mask_is_the_bilinear_formula_at_every_pixel_centre(
    box_xyxy: tuple[float, ...], shape: tuple[int, int]
) -> None:
    probabilities = np.random.default_rng(0).random(shape, dtype=np.float32)
    probabilities[0, 0] = 0.9  # an edge that is not faded out

    rle = paste_mask(probabilities, np.array(box_xyxy), SIZE_HW)

    mask = mask_utils.decode(rle).astype(bool)
    expected, undecided = oracle(probabilities, box_xyxy)
    assert undecided.mean() < 0.01
    assert (mask == expected)[~undecided].all()


@pytest.mark.parametrize("box_xyxy", BOXES.values(), ids=BOXES.keys())
def test_run_lengths_are_those_of_the_whole_mask(box_xyxy: tuple[float, ...]) -> None:
    probabilities = np.random.default_rng(1).random((9, 9), dtype=np.float32)
    probabilities[3:6] = 1

    rle = paste_mask(probabilities, np.array(box_xyxy), SIZE_HW)

    whole = np.asfortranarray(mask_utils.decode(rle))
    assert rle == mask_utils.encode(whole)
    assert whole.any()


@pytest.mark.parametrize("box_xyxy", EMPTY_BOXES.values(), ids=EMPTY_BOXES.keys())
def test_box_without_a_pixel_centre_gives_an_empty_mask(box_xyxy: tuple[float, ...]) -> None:
    empty = mask_utils.encode(np.zeros(SIZE_HW, np.uint8, order="F"))

    assert paste_mask(np.ones((5, 5), np.float32), np.array(box_xyxy), SIZE_HW) == empty
    assert fill_box(np.array(box_xyxy), SIZE_HW) == empty


def test_mask_turns_with_the_map_and_its_box() -> None:
    probabilities = np.random.default_rng(2).random((8, 8), dtype=np.float32)
    box_xyxy = np.array([4.3, 7.7, 30.1, 33.9])
    height, width = SIZE_HW
    mirrored_box = np.array([width - 30.1, 7.7, width - 4.3, 33.9])

    mask = mask_utils.decode(paste_mask(probabilities, box_xyxy, SIZE_HW))
    mirrored = mask_utils.decode(paste_mask(probabilities[:, ::-1], mirrored_box, SIZE_HW))
    transposed = mask_utils.decode(
        paste_mask(probabilities.T, box_xyxy[[1, 0, 3, 2]], (width, height))
    )

    assert (mirrored[:, ::-1] == mask).all()
    assert (mask == transposed.T).all()


def test_half_plane_is_neither_offset_nor_blocky() -> None:
    """A map with a straight edge through its middle gives a mask whose edge is the box's middle."""
    ramp = np.linspace(1, 0, 14, dtype=np.float32)[None].repeat(14, 0)
    box_xyxy = np.array([10.0, 2.0, 50.0, 35.0])  # its middle is x = 30

    mask = mask_utils.decode(paste_mask(ramp, box_xyxy, SIZE_HW)).astype(bool)

    assert mask[2:35, 10:30].all()
    assert mask.sum() == 33 * 20


def test_filled_box_holds_the_pixels_whose_centres_it_covers() -> None:
    mask = mask_utils.decode(fill_box(np.array([3.5, 4.6, 10.5, 36.9]), SIZE_HW)).astype(bool)

    expected = np.zeros(SIZE_HW, bool)
    expected[5:37, 3:10] = True  # 3.5 is in, 10.5 and 4.5 are out
    assert (mask == expected).all()


@pytest.mark.parametrize("height", [1, 4, 9])
def test_columns_are_encoded_as_pycocotools_does(height: int) -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        whole = np.zeros((9, 11), np.uint8, order="F")
        columns, rows = random.integers(0, 12), height
        left, top = random.integers(0, 12 - columns), random.integers(0, 10 - rows)
        part = random.random((columns, rows)) < random.random()
        whole[top : top + rows, left : left + columns] = part.T

        assert encode_columns(part, int(left), int(top), (9, 11)) == mask_utils.encode(whole)


def test_memory_is_bounded_by_the_box() -> None:
    probabilities = np.random.default_rng(4).random((16, 16), dtype=np.float32)
    paste_mask(probabilities, np.array([0.0, 0.0, 9.0, 9.0]), (20, 20))  # imports and caches
    tracemalloc.start()
    paste_mask(probabilities, np.array([7000.0, 5000.0, 7100.0, 5100.0]), (20_000, 30_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1e6  # the whole mask has 600 million pixels
