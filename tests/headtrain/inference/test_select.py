from dataclasses import replace

import pytest
import torch

from mfd.errors import DataError
from mfd.headtrain.inference.select import boxes_in_pixels, select_detections
from tests.builders.scenes import SPEC
from tests.headtrain.inference.test_masks import features


def test_boxes_are_the_detectors_in_pixels_and_not_clipped() -> None:
    image = features()
    image.boxes[3] = torch.tensor([0.1, 0.5, 0.4, 0.25])
    image.logits[3, 2] = 9.0

    chosen = select_detections(image, SPEC, 4)

    expected = [-0.1 * 67, 0.375 * 41, 0.3 * 67, 0.625 * 41]
    assert chosen.boxes_xyxy[0].tolist() == pytest.approx(expected, rel=1e-6)
    assert chosen.category_ids[0] == 90


def test_pixels_are_computed_in_float64() -> None:
    box = torch.tensor([[1 / 3, 0.7, 0.1, 0.3]])  # rounded to float32, then exact

    x, y, w, h = box[0].tolist()
    left, top, right, bottom = boxes_in_pixels(box, (4001, 5003))[0].tolist()
    assert (left, top) == ((x - w / 2) * 5003, (y - h / 2) * 4001)
    assert (right, bottom) == ((x + w / 2) * 5003, (y + h / 2) * 4001)


def test_pairs_are_the_best_of_all_queries_and_categories() -> None:
    image = features()

    chosen = select_detections(image, SPEC, 7)

    best = image.logits.sigmoid().flatten().sort(descending=True).values[:7]
    assert torch.equal(chosen.scores, best)
    rows = chosen.queries[chosen.query_row]
    assert torch.equal(image.logits[rows, chosen.columns].sigmoid(), chosen.scores)
    assert chosen.queries.tolist() == sorted(set(rows.tolist()))


def test_best_of_query_has_the_best_class_score_of_its_pairs() -> None:
    chosen = select_detections(features(), SPEC, 25)
    assert len(chosen.queries) < 25

    best = chosen.best_of_query()

    for row, index in enumerate(best.tolist()):
        of_query = chosen.query_row == row
        assert of_query[index]
        assert chosen.scores[index] == chosen.scores[of_query].max()


def test_softmax_detectors_give_each_query_once() -> None:
    spec = replace(SPEC, scores="softmax")
    image = replace(features(), logits=torch.randn(SPEC.num_queries, 4))

    chosen = select_detections(image, spec, 100)

    assert len(chosen.scores) == len(chosen.queries) == SPEC.num_queries
    best = image.logits.softmax(-1)[:, :3].max(-1).values.sort(descending=True).values
    assert torch.equal(chosen.scores, best)


@pytest.mark.parametrize("field", ["boxes", "logits"])
def test_detections_that_are_not_finite_are_refused_by_image(field: str) -> None:
    image = features(image_id=77)
    getattr(image, field)[:, 1] = float("nan")

    with pytest.raises(DataError, match="image 77 has scores or boxes that are not finite"):
        select_detections(image, SPEC, 5)
