"""AP by LVIS's rules against an oracle that writes them out, image by image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mfd.coco import CocoDataset, read_dataset
from mfd.errors import DataError
from mfd.headtrain.evaluation.compare import Side, compare
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.metrics.coco import average_precision, ground_truth, scored
from mfd.headtrain.evaluation.metrics.matches import Matches
from tests.builders.scenes import Knows, make_dataset, make_store

pytest.importorskip("vernier", reason="vernier is not installed (extra `eval`)")

SIZE_HW = (60, 80)
FREQUENCY = {2: "r", 3: "c", 5: "f", 7: "f", 8: "c"}
THRESHOLDS = [0.5 + 0.05 * k for k in range(10)]

Box = tuple[int, int, int, int]  # left, top, width, height


def scene() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """LVIS's JSON of a few images, and detections: moved objects and false alarms everywhere."""
    random = np.random.default_rng(3)

    def box() -> Box:
        left, top = (int(random.integers(0, side - 22)) for side in (80, 60))
        return left, top, int(random.integers(8, 22)), int(random.integers(8, 22))

    images, annotations, found = [], [], []
    for image_id in range(1, 13):
        present = [int(key) for key in random.choice([*FREQUENCY], 2, replace=False)]
        others = [key for key in FREQUENCY if key not in present]
        images.append(
            {
                "id": image_id,
                "height": SIZE_HW[0],
                "width": SIZE_HW[1],
                "coco_url": f"http://host/val2017/{image_id:012}.jpg",
                "neg_category_ids": others[:1],
                "not_exhaustive_category_ids": present[:1] if image_id % 2 else [],
            }
        )
        for category in present:
            for _ in range(3):
                place = box()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": category,
                        "bbox": place,
                        "area": place[2] * place[3],
                        "segmentation": [polygon(place)],
                    }
                )
                moved = np.add(place, [*random.integers(0, 2, 2), 0, 0])
                found.append(detection(image_id, category, moved, random.random()))
        for _ in range(320 if image_id == 4 else 6):  # of all categories, also those not looked for
            category = int(random.choice([*FREQUENCY]))
            found.append(detection(image_id, category, box(), random.random()))
    categories = [{"id": k, "name": f"c{k}", "frequency": v} for k, v in FREQUENCY.items()]
    return {"images": images, "categories": categories, "annotations": annotations}, found


def polygon(box: Box) -> list[int]:
    left, top, width, height = box
    return [left, top, left + width, top, left + width, top + height, left, top + height]


def detection(image_id: int, category: int, box: Any, score: float) -> dict[str, Any]:
    left, top, width, height = map(int, box)
    mask = np.zeros(SIZE_HW, np.uint8, order="F")
    mask[top : top + height, left : left + width] = 1
    return {
        "image_id": image_id,
        "category_id": category,
        "bbox": [left, top, width, height],
        "score": score,
        "segmentation": mask_utils.encode(mask),
    }


def iou(one: Any, other: Any) -> float:
    ends = [(a[k] + a[k + 2], b[k] + b[k + 2]) for a, b in [(one, other)] for k in (0, 1)]
    sides = [min(end) - max(one[k], other[k]) for k, end in enumerate(ends)]
    shared = max(0, sides[0]) * max(0, sides[1])
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def ap_by_the_rules(
    content: dict[str, Any], found: list[dict[str, Any]], category: int, threshold: float
) -> float:
    """AP of one category at one IoU threshold."""
    counted: list[tuple[float, bool]] = []
    total = 0
    for image in content["images"]:
        here = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        objects = [a["bbox"] for a in here if a["category_id"] == category]
        total += len(objects)
        if not objects and category not in image["neg_category_ids"]:
            continue  # not looked for
        best = sorted((f for f in found if f["image_id"] == image["id"]), key=lambda f: -f["score"])
        free = set(range(len(objects)))
        for each in (f for f in best[:300] if f["category_id"] == category):
            overlaps = {k: iou(each["bbox"], objects[k]) for k in free}
            match = max(overlaps, key=lambda k: overlaps[k], default=None)
            if match is not None and overlaps[match] >= threshold:
                free.remove(match)
                counted.append((each["score"], True))
            elif category not in image["not_exhaustive_category_ids"]:
                counted.append((each["score"], False))
    right = np.cumsum([hit for _, hit in sorted(counted, key=lambda each: -each[0])])
    precision = right / np.arange(1, len(right) + 1)
    recall = right / total
    return float(
        np.mean([max(precision[recall >= r], default=0.0) for r in np.linspace(0, 1, 101)])
    )


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    file = tmp_path / "lvis.json"
    file.write_text(json.dumps(scene()[0]))
    return read_dataset(file, tmp_path)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_ap_keeps_the_rules_of_lvis(kind: Any, dataset: CocoDataset) -> None:
    content, found = scene()
    truth = ground_truth(dataset, "segm")
    figures = average_precision(truth, found, kind, "vernier")
    table = {
        key: [ap_by_the_rules(content, found, key, t) for t in THRESHOLDS] for key in FREQUENCY
    }
    mean = {key: np.mean(values) for key, values in table.items()}
    assert figures.per_category == pytest.approx(mean, abs=1e-12)
    assert figures.overall["ap"] == pytest.approx(np.mean([*mean.values()]), abs=1e-12)
    assert figures.overall["ap50"] == pytest.approx(np.mean([v[0] for v in table.values()]))
    for name, letter in (("ap_rare", "r"), ("ap_common", "c"), ("ap_frequent", "f")):
        some = [mean[key] for key, value in FREQUENCY.items() if value == letter]
        assert figures.overall[name] == pytest.approx(np.mean(some), abs=1e-12)
    plain = average_precision(truth, found, kind).overall
    assert plain["ap"] < figures.overall["ap"] - 0.05  # false alarms that LVIS does not count
    once = np.ones((1, len(dataset.images)), int)
    (again,) = Matches(scored(truth, found, kind, "vernier")).figures(once)
    assert again == pytest.approx(figures.overall, abs=1e-12)


def test_ap_follows_categories_to_the_detectors_ids(dataset: CocoDataset) -> None:
    assert dataset.federated is not None
    new = {key: key + 100 for key in FREQUENCY}
    moved = dataset.federated.renumbered(new)
    assert moved.absent == {
        image: frozenset(map(new.get, ids)) for image, ids in dataset.federated.absent.items()
    }
    assert moved.frequency == {new[key]: value for key, value in FREQUENCY.items()}
    assert type(moved).from_json(json.loads(json.dumps(moved.to_json()))) == moved


def test_contradicting_annotations_are_refused(dataset: CocoDataset, tmp_path: Path) -> None:
    content, found = scene()
    content["images"][0]["neg_category_ids"] = [content["annotations"][0]["category_id"]]
    (tmp_path / "lvis.json").write_text(json.dumps(content))
    truth = ground_truth(read_dataset(tmp_path / "lvis.json", tmp_path), "segm")
    with pytest.raises(DataError, match=r"contradict what is said .* correct neg_category_ids"):
        average_precision(truth, found, "bbox", "vernier")


def test_evaluation_says_where_the_rules_are_not_kept(tmp_path: Path) -> None:
    data = make_dataset(tmp_path)
    content = json.loads(data.annotations_file.read_text())  # type: ignore[union-attr]
    for image in content["images"]:
        image["neg_category_ids"] = []
    for category in content["categories"]:
        category["frequency"] = "r"
    data.annotations_file.write_text(json.dumps(content))  # type: ignore[union-attr]
    data = read_dataset(data.annotations_file, data.images_dir)  # type: ignore[arg-type]
    store = make_store(tmp_path, data)
    kept = evaluate(Knows(data), store, data, evaluator="vernier", bootstrap=20)
    assert not [note for note in kept.notes if "LVIS" in note]
    fields = kept.to_json()
    for row in ("box", "mask", "boundaries"):
        assert fields[f"{row}_ap_rare"] == fields[f"{row}_ap"] > 0
    assert {"ap", "ap_rare"} <= {*kept["masks"].intervals}
    kept.write(tmp_path / "kept")
    side = Side("kept", tmp_path / "kept", data)
    changes = {change.name: change for change in compare(side, side, bootstrap=5).differences}
    assert changes["mask ap_rare"].first == kept["masks"].overall["ap_rare"]
    for options in ({}, {"evaluator": "vernier", "dataset": data.without_categories()}):
        notes = evaluate(None, store, **{"dataset": data, **options}).notes  # type: ignore[arg-type]
        assert [note for note in notes if "LVIS leaves out count as false alarms" in note]
