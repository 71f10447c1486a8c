"""Evaluation against plain pycocotools on the files it writes."""

import contextlib
import io
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from mfd.cache import Store
from mfd.coco import Annotations, CocoDataset, ImageEntry
from mfd.detectors import ImageFeatures
from mfd.errors import StoreError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.evaluation.baselines import untrained_head
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.head.model import MaskHead
from tests.builders.scenes import CONFIG, IMAGES, SPEC, Knows, make_store

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def official_figures(annotations: Path, results: list[dict] | Path, kind: str) -> list[float]:
    """AP, AP50, AP75, AP small, medium and large as pycocotools' own summary has them."""
    content = json.loads(annotations.read_text())
    for annotation in content["annotations"]:
        annotation["id"] += 1  # pycocotools takes a match with object 0 for none
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        found = truth.loadRes(str(results) if isinstance(results, Path) else results)
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6].tolist()


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_figures_are_those_of_plain_pycocotools_on_the_result_files(
    known: Evaluation, dataset: CocoDataset, run_dir: Path, kind: str
) -> None:
    assert dataset.annotations_file is not None
    expected = official_figures(dataset.annotations_file, run_dir / f"results_{kind}.json", kind)
    found = known["boxes" if kind == "bbox" else "masks"].overall
    assert tuple(found) == FIGURES
    assert [-1 if v is None else v for v in found.values()] == expected
    assert 0.3 < expected[0] < 1  # neither trivial


def test_box_ap_is_the_detectors_own(known: Evaluation, store: Store, dataset: CocoDataset) -> None:
    """Computed again from the features as Deformable DETR does, without this package's code."""
    results = []
    for features in (store[i] for i in range(len(store))):
        height, width = features.original_hw
        scores, flat = features.logits.sigmoid().flatten().topk(SPEC.max_detections)
        for score, index in zip(scores.tolist(), flat.tolist(), strict=True):
            x, y, w, h = (
                features.boxes[index // 3] * Tensor([width, height, width, height])
            ).tolist()
            results.append(
                {
                    "image_id": features.image_id,
                    "category_id": SPEC.category_ids[index % 3],
                    "bbox": [x - w / 2, y - h / 2, w, h],
                    "score": score,
                }
            )
    assert dataset.annotations_file is not None
    expected = official_figures(dataset.annotations_file, results, "bbox")

    assert list(known["boxes"].overall.values())[:5] == pytest.approx(expected[:5], abs=1e-9)


def test_a_head_that_knows_the_objects_beats_filled_boxes_and_no_training(
    known: Evaluation,
) -> None:
    figures = known.to_json()

    assert figures["mask_ap"] > 0.6
    assert figures["mask_ap"] > 2 * figures["mask_ap_filled_boxes"] > 0
    assert figures["mask_ap"] > 2 * figures["mask_ap_untrained"]
    assert figures["box_ap"] > figures["mask_ap_filled_boxes"]
    assert known.table().row_count == 4


def test_without_a_trained_head_there_are_boxes_and_baselines(
    known: Evaluation, store: Store, dataset: CocoDataset
) -> None:
    found = evaluate(None, store, dataset, baselines=True)

    assert [row.name for row in found.rows] == ["boxes", "filled boxes", "untrained head"]
    assert found["boxes"] == known["boxes"]
    assert found["filled boxes"] == known["filled boxes"]
    assert found.to_json()["mask_ap"] is None
    assert 0 < found.to_json()["mask_ap_untrained"] < 0.5
    assert [row.name for row in evaluate(None, store, dataset).rows] == ["boxes"]


def test_oracles_are_above_what_they_put_right(
    known: Evaluation, store: Store, dataset: CocoDataset
) -> None:
    found = evaluate(Knows(dataset), store, dataset, oracles=True, bootstrap=20)

    names = [f"oracle {name}" for name in ("boxes", "classes", "masks", "ranking")]
    assert [row.name for row in found.rows] == ["boxes", "masks", *names]
    assert {row.group for row in found.rows[2:]} == {"oracle"}
    assert found["masks"].overall == known["masks"].overall
    for name in names:
        assert found[name].ap > found["masks"].ap
    for row in found.rows[:2]:
        low, high = row.figures.intervals["ap"]
        assert low < row.figures.ap < high
    assert all((row.seconds or 0) > 0 for row in found.rows[1:3])


def test_oracles_without_a_head_are_of_masks(store: Store, dataset: CocoDataset) -> None:
    found = evaluate(None, store, dataset, oracles=True)
    assert [row.name for row in found.rows] == ["boxes", "oracle masks"]


def test_the_untrained_head_has_the_roi_size_of_the_trained_one(
    known: Evaluation, store: Store, dataset: CocoDataset
) -> None:
    """CONFIG's RoI size is not the default; the same head alone must give the same figures."""
    assert CONFIG.roi_size != HeadConfig().roi_size
    alone = evaluate(untrained_head(SPEC, CONFIG.roi_size), store, dataset)
    other = evaluate(untrained_head(SPEC), store, dataset)

    assert known["untrained head"] == alone["masks"] != other["masks"]


def test_features_of_any_source_are_evaluated(store: Store, dataset: CocoDataset) -> None:
    """What `evaluate` reads of a store is all that another source must have."""

    class Source:
        path, spec, image_ids, invalid = store.path, SPEC, store.image_ids, store.invalid
        has_c1 = True

        def __len__(self) -> int:
            return len(self.image_ids)

        def __getitem__(self, position: int) -> ImageFeatures:
            return store[position]

    found, expected = (evaluate(Knows(dataset), s, dataset) for s in (Source(), store))
    assert [row.figures for row in found.rows] == [row.figures for row in expected.rows]


def test_json_has_every_figure_and_is_what_the_run_folder_gets(
    known: Evaluation, store: Store, run_dir: Path
) -> None:
    figures = known.to_json()

    written = json.loads((run_dir / "evaluation.json").read_text())
    curves = {row.name: row.figures.curves for row in known.rows}
    assert written == {**figures, "split": "val", "store": known.store, "curves": curves}
    assert len(curves["masks"]["precision_75"]) == 101
    assert known.store == store.path.name
    for kind in ("box", "mask"):
        assert {f"{kind}_{name}" for name in FIGURES} <= figures.keys()
    assert figures["images"] == IMAGES
    assert figures["detections"] == IMAGES * SPEC.max_detections
    assert figures["seconds"] > 0


def test_per_category_figures_average_to_the_total(known: Evaluation) -> None:
    rows = known.to_json()["per_category"]

    assert [row["name"] for row in rows] == ["disc", "ring", "hook", "never found"]
    assert rows[3]["mask_ap"] is None  # annotated nowhere
    assert np.mean([row["mask_ap"] for row in rows[:3]]) == pytest.approx(known["masks"].ap)
    assert np.mean([row["box_ap"] for row in rows[:3]]) == pytest.approx(known["boxes"].ap)


def test_a_store_without_stage_one_maps_serves_heads_without_them(
    dataset: CocoDataset, store: Store, tmp_path: Path
) -> None:
    lite = make_store(tmp_path, dataset, profile="lite")

    with pytest.raises(StoreError, match="no stage-1 maps"):
        evaluate(MaskHead(CONFIG, SPEC), lite, dataset)
    head = MaskHead(replace(CONFIG, use_c1=False), SPEC)
    found = [evaluate(head, each, dataset)["masks"] for each in (lite, store)]
    assert found[0] == found[1]


def test_peak_memory_does_not_grow_with_the_instances_of_an_image(tmp_path: Path) -> None:
    """A crowded image: 200 masks of 1.3 million pixels each."""
    entry = ImageEntry(1, "large.png", (1033, 1277))
    crowd = CocoDataset(None, tmp_path, (entry,), {1: "disc"}, Annotations.of())
    spec = replace(SPEC, num_queries=200, max_detections=200)
    store = make_store(tmp_path, crowd, spec)
    head = MaskHead(CONFIG, spec)
    evaluate(head, store, crowd)  # imports and caches

    peaks = []
    for count in (5, 200):
        tracemalloc.start()
        evaluate(head, store, crowd, max_detections=count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 5e6
