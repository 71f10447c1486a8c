"""Masks from polygons and RLE; hostile RLE never reaches pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mfd.coco.segmentation import decode_segmentation, encode_segmentation
from mfd.errors import DataError

# pycocotools' decode, the oracle here, is not written for numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE_HW = (37, 53)


def random_mask(seed: int, size_hw: tuple[int, int] = SIZE_HW, density: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(seed).random(size_hw) < density).astype(np.uint8)


def compressed(mask: np.ndarray) -> dict[str, object]:
    return dict(coco_mask.encode(np.asfortranarray(mask)))


def runs_of(mask: np.ndarray) -> list[int]:
    flat = np.concatenate((mask.flatten(order="F"), [9]))
    return np.diff(np.flatnonzero(np.diff(flat)) + 1, prepend=0).tolist()


def uncompressed(mask: np.ndarray) -> dict[str, object]:
    runs = runs_of(mask)
    if mask[0, 0]:
        runs = [0, *runs]
    return {"size": list(mask.shape), "counts": runs}


@pytest.mark.parametrize("seed", range(8))
def test_rle_in_every_spelling_decodes_to_the_mask_it_came_from(seed: int) -> None:
    mask = random_mask(seed, density=0.02 + 0.12 * seed)
    rle = compressed(mask)
    as_text = {"size": rle["size"], "counts": rle["counts"].decode()}
    for spelling in (rle, as_text, uncompressed(mask)):
        assert (decode_segmentation(spelling, SIZE_HW) == mask).all()
        assert encode_segmentation(spelling, SIZE_HW)["counts"] == rle["counts"]


def test_an_rle_of_large_runs_and_differences_is_accepted() -> None:
    mask = np.zeros((1201, 1999), np.uint8)
    mask[3:900, 40] = mask[7, 1500] = mask[11:13, 1998] = 1
    assert (decode_segmentation(compressed(mask), (1201, 1999)) == mask).all()


def test_polygons_are_filled_as_pycocotools_fills_them() -> None:
    polygons = [[3.5, 2.0, 30.25, 8.5, 12.0, 33.0], [40, 1, 60.5, -4, 52, 20, 41.5, 18]]
    rles = coco_mask.frPyObjects(polygons, *SIZE_HW)
    assert (decode_segmentation(polygons, SIZE_HW) == coco_mask.decode(rles).max(-1)).all()


@pytest.mark.parametrize("degenerate", [[], [4.0, 4.0], [1.0, 1.0, 20.0, 30.0]])
def test_polygons_of_fewer_than_three_points_add_nothing(degenerate: list[float]) -> None:
    # pycocotools itself takes four numbers in the first place for a box
    triangle = [3.5, 2.0, 30.25, 8.5, 12.0, 33.0]
    both = decode_segmentation([degenerate, triangle], SIZE_HW)
    assert (both == decode_segmentation([triangle], SIZE_HW)).all()
    assert not decode_segmentation([degenerate], SIZE_HW).any()


def cut(rle: dict[str, object]) -> dict[str, object]:
    counts = bytearray(rle["counts"])
    counts[-1] = 48 + ((counts[-1] - 48) | 32)  # bit 5: another digit follows
    return {**rle, "counts": bytes(counts)}


HEIGHT, WIDTH = SIZE_HW
HOSTILE = {
    "text that no RLE holds": ({"counts": "PPYo\x7f\x01"}, "characters"),
    "not ascii": ({"counts": "\u20ac0"}, "characters"),
    "a NUL in the middle": ({"counts": b"0\x000"}, "characters"),
    "an unfinished number": (cut(compressed(random_mask(1))), "cut off"),
    "a shortened string": ({"counts": compressed(random_mask(1))["counts"][:-3]}, "RLE"),
    "an empty string": ({"counts": ""}, "add up to 0"),
    "runs beyond the image": ({"counts": "oooooo0"}, "RLE"),
    "a negative run": ({"counts": [HEIGHT * WIDTH + 5, -5]}, "run of -5"),
    "a compressed negative run": ({"counts": "O"}, "run of -1"),
    "a number beyond 64 bits": ({"counts": "oooooooooooooooooooo0"}, "beyond 32 bits"),
    "a huge listed run": ({"counts": [10**30]}, "whole number"),
    "a broken run": ({"counts": [3.5, HEIGHT * WIDTH - 3.5]}, "whole number"),
    "too few pixels": ({"counts": [HEIGHT * WIDTH - 1]}, "add up to"),
    "too many pixels": ({"counts": [HEIGHT * WIDTH, 1]}, "add up to"),
    "another size": ({"size": [WIDTH, HEIGHT], "counts": [HEIGHT * WIDTH]}, "has size"),
    "no size": ({"size": None, "counts": [HEIGHT * WIDTH]}, "has size None"),
    "no counts": ({"counts": None}, "NoneType"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_malformed_rle_is_refused_before_pycocotools_sees_it(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object) -> None:
        pytest.fail("pycocotools was handed a malformed RLE")

    for name in ("decode", "frPyObjects", "merge", "area"):
        monkeypatch.setattr(coco_mask, name, forbidden)
    fields, problem = HOSTILE[case]
    rle = {"size": [HEIGHT, WIDTH], **fields}
    with pytest.raises(DataError, match=problem):
        decode_segmentation(rle, SIZE_HW)


def test_flipping_any_character_of_an_rle_is_refused_or_still_a_mask_of_that_size() -> None:
    rle = compressed(random_mask(3, density=0.05))
    generator = np.random.default_rng(0)
    for position in range(len(rle["counts"])):
        counts = bytearray(rle["counts"])
        counts[position] = generator.integers(256)
        try:
            mask = decode_segmentation({**rle, "counts": bytes(counts)}, SIZE_HW)
        except DataError:
            continue
        assert mask.shape == SIZE_HW
        assert mask.max() <= 1


@pytest.mark.parametrize(
    ("segmentation", "problem"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "list of polygons"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], "pairs"),
        ([[1.0, 2.0, 3.0, float("nan"), 5.0, 6.0]], "finite"),
        ([[1.0, 2.0, float("inf"), float("-inf"), 5.0, 6.0]], "finite"),
        ([[1.0, 2.0, 3.0, "4", 5.0, 6.0]], "finite"),
        ([[1.0, 2.0, 3.0, 1e12, 5.0, 6.0]], "far out"),
        ("a string", "str"),
        (None, "NoneType"),
    ],
)
def test_a_malformed_polygon_is_refused(segmentation: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        encode_segmentation(segmentation, SIZE_HW)
