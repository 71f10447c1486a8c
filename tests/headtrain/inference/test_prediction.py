import builtins
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mfd.coco import decode_segmentation
from mfd.errors import ConfigError
from mfd.headtrain.inference.prediction import Prediction, draw_predictions, to_supervision

MASK = np.zeros((37, 53), bool)
MASK[5:20, 7:30] = True
MASK[9:12, 10:14] = False
MASK[30:, 50:] = True


def prediction(category: str = "cat", query: int = 4, mask: np.ndarray = MASK) -> Prediction:
    rle = dict(mask_utils.encode(np.asfortranarray(mask, np.uint8)))
    return Prediction(17, category, 0.8, 0.75, (6.5, -4.75, 53.25, 37.0), rle, query)


def test_score_is_class_score_times_quality() -> None:
    assert prediction().score == 0.8 * 0.75


def test_mask_is_boolean_and_of_the_images_size() -> None:
    mask = prediction().mask

    assert mask.dtype == bool
    assert (mask == MASK).all()


def test_polygon_has_every_part_and_hole_in_pixels_of_the_image() -> None:
    lines = prediction().polygon()

    assert [[7, 5], [30, 5], [30, 20], [7, 20]] in lines
    assert [[50, 30], [53, 30], [53, 37], [50, 37]] in lines
    assert len(lines) == 3
    (hole,) = (line for line in lines if [10, 9] in line)
    assert sorted(hole) == [[10, 9], [10, 12], [14, 9], [14, 12]]
    json.dumps(lines)


def test_polygon_of_a_mask_without_holes_is_the_mask_in_coco() -> None:
    whole = MASK.copy()
    whole[9:12, 10:14] = True
    polygons = [sum(line, []) for line in prediction(mask=whole).polygon()]  # noqa: RUF017

    assert (decode_segmentation(polygons, whole.shape) == whole).all()


def test_dict_is_plain_json_in_cocos_result_format() -> None:
    found = json.loads(json.dumps(prediction().to_dict()))

    assert found["bbox"] == [6.5, -4.75, 46.75, 41.75]
    assert (found["category_id"], found["category"]) == (17, "cat")
    assert (found["score"], found["class_score"], found["quality"]) == (0.6, 0.8, 0.75)
    assert found["segmentation"]["size"] == [37, 53]
    assert mask_utils.area(found["segmentation"]) == MASK.sum()
    assert found["query"] == 4


def test_repr_is_one_short_line_whatever_the_category_is_called() -> None:
    assert repr(prediction("a\x1b[2J\nb")) == (
        "Prediction('a\\\\x1b[2J\\\\nb', class_score=0.800, quality=0.750, "
        "box_xyxy=(6.5, -4.8, 53.2, 37.0), mask=354 of 37 x 53 pixels)"
    )


def test_predictions_can_be_compared_and_kept_in_sets() -> None:
    assert prediction() == prediction() != prediction("dog")
    assert len({prediction(), prediction(), prediction("dog")}) == 2


def test_a_query_is_drawn_once_by_its_first_prediction() -> None:
    grey = Image.new("RGB", (53, 37), (128, 128, 128))

    both = draw_predictions(grey, [prediction("cat"), prediction("dog")], scale=9)
    first = draw_predictions(grey, [prediction("cat")], scale=9)

    assert (np.asarray(both) == np.asarray(first)).all()
    assert (np.asarray(prediction("cat").draw(grey, scale=9)) == np.asarray(first)).all()
    other = draw_predictions(grey, [prediction("cat"), prediction("dog", query=5)], scale=9)
    assert (np.asarray(both) != np.asarray(other)).any()


def test_drawing_takes_images_of_any_mode() -> None:
    assert draw_predictions(Image.new("L", (53, 37)), [prediction()]).mode == "RGB"


def test_supervision_gets_boxes_masks_and_names() -> None:
    supervision = pytest.importorskip("supervision")

    found = to_supervision([prediction(), prediction("dog", query=5)])

    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[6.5, -4.75, 53.25, 37.0]] * 2
    assert (found.mask == MASK).all()
    assert found.confidence.tolist() == pytest.approx([0.8, 0.8])
    assert found["class_name"].tolist() == ["cat", "dog"]
    assert len(to_supervision([])) == 0


def test_supervision_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "supervision":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "supervision", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ConfigError, match="pip install supervision"):
        to_supervision([])


def test_drawing_takes_whatever_the_model_takes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(path := tmp_path / "x.png")
    expected = np.asarray(draw_predictions(Image.fromarray(pixels), [prediction()]))
    assert (expected != pixels).any()
    for image in (path, str(path), pixels):
        assert (np.asarray(draw_predictions(image, [prediction()])) == expected).all()
        assert (np.asarray(prediction().draw(image)) == expected).all()
