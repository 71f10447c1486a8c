"""vernier against pycocotools, and its boundary AP against boundaries made pixel by pixel."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_utils
from scipy.ndimage import binary_erosion

from mfd.coco import CocoDataset, decode_segmentation, read_dataset, split_paths
from mfd.errors import ConfigError
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth, scored
from mfd.headtrain.evaluation.metrics.matches import Matches
from tests.builders.scenes import NAMES, make_dataset
from tests.headtrain.evaluation.metrics.test_coco import SIZE_HW, annotation, dataset, rle


def moved_objects(data: CocoDataset, categories: list[int]) -> list[dict[str, Any]]:
    """Each object twice, shifted by some pixels, a third of them in another category."""
    random = np.random.default_rng(0)
    found = []
    for image in data.images:
        for each in data.annotations.get(image.image_id, ()):
            for _ in range(2 if each.has_mask else 0):
                mask = decode_segmentation(each.segmentation, image.size_hw)
                shift = random.integers(-3, 4, 2)
                moved = np.asfortranarray(np.roll(mask, shift, (0, 1)))
                segmentation = mask_utils.encode(moved)
                other = int(random.choice(categories))
                found.append(
                    {
                        "image_id": image.image_id,
                        "category_id": other if random.random() < 0.33 else each.category_id,
                        "score": round(float(random.random()), 3),  # some are equal
                        "segmentation": segmentation,
                        "bbox": mask_utils.toBbox(segmentation).tolist(),
                    }
                )
    return found


def check_equal(data: CocoDataset, found: list[dict[str, Any]], kind: Any) -> None:
    truth = ground_truth(data, "segm")
    both = [average_precision(truth, found, kind, who) for who in ("pycocotools", "vernier")]  # type: ignore[arg-type]
    assert both[0] == both[1]
    assert 0.1 < both[0].ap < 0.9


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_vernier_finds_pycocotools_figures_to_the_bit(kind: Any, tmp_path: Path) -> None:
    pytest.importorskip("vernier")
    data = make_dataset(tmp_path)
    found = moved_objects(data, [*NAMES])
    check_equal(data, found, kind)
    check_equal(data.without_categories(), found, kind)
    once = np.ones((1, len(data.images)), int)
    evaluation = scored(ground_truth(data, "segm"), found, kind, "vernier")
    expected = average_precision(ground_truth(data, "segm"), found, kind).overall
    assert Matches(evaluation).figures(once) == [expected]


def test_vernier_finds_pycocotools_figures_on_real_images_to_the_bit(shared: Path) -> None:
    pytest.importorskip("vernier")
    data = read_dataset(*split_paths(shared / "real" / "coco", "val"))
    some = replace(data, images=data.images[::10])
    check_equal(some, moved_objects(some, [*data.categories]), "segm")


@pytest.mark.parametrize("box", [(40, 30, 70, 60), (40, 30, 60, 70), (0, 0, 50, 64)])
def test_boundary_ap_counts_the_lesser_of_both_ious(box: tuple[int, int, int, int]) -> None:
    """Boundaries reach 2 % of the diagonal inwards, from the edge of the image too."""
    pytest.importorskip("vernier")
    true, guess = (40, 30, 60, 60) if box[0] else (0, 0, 50, 60), box
    found = {"image_id": 7, "category_id": 3, "score": 0.5, "segmentation": rle(*guess)}
    masks = [decode_segmentation(rle(*each), SIZE_HW).astype(bool) for each in (true, guess)]
    width = round(0.02 * float(np.hypot(*SIZE_HW)))
    rims = [mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=width) for mask in masks]
    lesser = min(iou(*masks), iou(*rims))
    assert iou(*rims) < iou(*masks)  # so that the boundary decides

    ap = average_precision(
        ground_truth(dataset(annotation(0, true)), "segm"), [found], "boundary", "vernier"
    ).ap

    assert ap == pytest.approx(sum(lesser >= 0.5 + 0.05 * k for k in range(10)) / 10)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_boundaries_need_vernier(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = ground_truth(dataset(annotation(0, (0, 0, 9, 9))), "segm")
    with pytest.raises(ConfigError, match="does not know boundary AP; use --evaluator vernier"):
        average_precision(truth, [], "boundary")
    monkeypatch.setitem(sys.modules, "vernier", None)
    with pytest.raises(ConfigError, match=r"cannot be imported .*pip install 'mfd\[eval\]'"):
        average_precision(truth, [], "bbox", "vernier")
