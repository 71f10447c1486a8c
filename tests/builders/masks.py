"""Masks of pixels: their run lengths, and the cells that a box cuts out of them."""

import numpy as np
from jaxtyping import Float64, Int64, Num
from pycocotools import mask as coco_mask

from mfd.coco import mask_runs
from mfd.headtrain.targets.crop import box_crop

Box = tuple[float, float, float, float]


def runs_of(mask: Num[np.ndarray, "H W"]) -> Int64[np.ndarray, " n"]:
    """The runs of a mask of 0 and 1, encoded by pycocotools."""
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return mask_runs({"size": list(mask.shape), "counts": rle["counts"]}, mask.shape)


def crop_of(
    mask: Num[np.ndarray, "H W"], box: Box, size: int, window: Box | None = None
) -> Float64[np.ndarray, "G G"]:
    """`box_crop` of a mask of pixels."""
    height, width = mask.shape
    return box_crop(runs_of(mask), (height, width), box, size, window)


def cell_means(values: Num[np.ndarray, "H W"], box: Box, size: int) -> Float64[np.ndarray, "G G"]:
    """The oracle: the mean over every cell, each pixel counted by its overlap with the cell."""
    left, top, right, bottom = box
    down = _overlaps(top, bottom, size, values.shape[0])
    across = _overlaps(left, right, size, values.shape[1])
    return down @ values.astype(np.float64) @ across.T


def _overlaps(start: float, stop: float, size: int, pixels: int) -> Float64[np.ndarray, "G p"]:
    """The share of each cell of a side that each pixel fills."""
    edges = start + (stop - start) * np.arange(size + 1) / size
    pixel = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return overlap.clip(0) * size / (stop - start)
