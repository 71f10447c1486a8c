"""Evaluation against plain pycocotools on the files it writes, and what it refuses."""

import contextlib
import io
import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from mfd.cache import Store
from mfd.coco import CocoDataset, ImageEntry, read_dataset
from mfd.detectors import ImageFeatures
from mfd.errors import ConfigError, DataError, DetectorError, StoreError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.evaluation.baselines import untrained_head
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput, MaskHead
from tests.builders.scenes import CONFIG, IMAGES, SPEC, Knows, make_dataset, make_store

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: CocoDataset) -> Store:
    return make_store(tmp_path_factory.mktemp("stores"), dataset)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "knows"


@pytest.fixture(scope="module")
def known(store: Store, dataset: CocoDataset, run_dir: Path) -> Evaluation:
    """The figures of a head that knows the objects, with both baselines."""
    found = evaluate(Knows(dataset), store, dataset, baselines=True, split="val")
    assert not run_dir.exists()
    found.write(run_dir)
    return found


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


def test_objects_with_a_box_only_are_noted(store: Store, dataset: CocoDataset) -> None:
    first = dataset.images[0].image_id
    boxes_only = tuple(replace(o, segmentation=None) for o in dataset.annotations[first])
    changed = replace(dataset, annotations={**dataset.annotations, first: boxes_only})

    found, whole = (evaluate(Knows(dataset), store, each) for each in (changed, dataset))

    assert found["boxes"] == whole["boxes"]
    assert found.notes == (
        "objects without a segmentation, which no mask can match: 3; box AP is not affected",
    )


def test_batches_do_not_change_the_figures(store: Store, dataset: CocoDataset) -> None:
    figures = [
        evaluate(MaskHead(CONFIG, SPEC), store, dataset, batch_size=size)["masks"]
        for size in (1, 7)
    ]

    assert figures[0] == figures[1]


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


def test_categories_that_only_the_detector_knows_are_ignored(
    known: Evaluation, store: Store, dataset: CocoDataset
) -> None:
    without_hooks = replace(
        dataset,
        categories={1: "disc", 3: "ring"},
        annotations={
            image_id: tuple(found for found in objects if found.category_id != 90)
            for image_id, objects in dataset.annotations.items()
        },
    )

    fewer = evaluate(Knows(dataset), store, without_hooks)

    assert fewer["masks"].per_category == {k: known["masks"].per_category[k] for k in (1, 3)}


def test_without_objects_ap_is_undefined_and_said_to_be(store: Store, dataset: CocoDataset) -> None:
    evaluation = evaluate(MaskHead(CONFIG, SPEC), store, replace(dataset, annotations={}))

    assert evaluation["boxes"].ap is None
    assert evaluation["masks"].overall["ap_small"] is None
    assert evaluation.notes == ("AP is undefined: the annotations contain no objects",)
    assert evaluation.to_json()["mask_ap"] is None
    assert evaluation.to_json()["mask_ap_filled_boxes"] is None
    assert evaluation.table().row_count == 2


def test_an_undetected_category_is_named(store: Store, dataset: CocoDataset) -> None:
    first = dataset.images[0].image_id
    changed = tuple(replace(o, category_id=91) for o in dataset.annotations[first])

    notes = evaluate(
        MaskHead(CONFIG, SPEC),
        store,
        replace(dataset, annotations={**dataset.annotations, first: changed}),
    ).notes

    assert notes == ("the detector does not know never found: AP 0",)


def test_images_that_could_not_be_extracted_count_as_missed(
    known: Evaluation, dataset: CocoDataset, tmp_path: Path
) -> None:
    unread = dataset.images[3].image_id
    partial = make_store(tmp_path, dataset, unread=(unread,))

    evaluation = evaluate(Knows(dataset), partial, dataset)

    assert evaluation.images == IMAGES - 1
    assert evaluation.notes == ("images that could not be read, their objects missed: 1",)
    assert evaluation["boxes"].ap < known["boxes"].ap - 0.01
    assert evaluation["masks"].ap < known["masks"].ap - 0.01


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
    crowd = CocoDataset(None, tmp_path, (entry,), {1: "disc"}, {})
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


def test_only_the_images_of_the_data_set_count(store: Store, dataset: CocoDataset) -> None:
    first = replace(dataset, images=dataset.images[:3])

    assert evaluate(Knows(dataset), store, first).images == 3


def test_a_head_of_another_detector_is_refused(store: Store, dataset: CocoDataset) -> None:
    head = MaskHead(CONFIG, replace(SPEC, name="other", weights_digest="ef" * 32))

    with pytest.raises(DetectorError, match=r"for other \(weights efefefef\), found nearly \(weig"):
        evaluate(head, store, dataset)


def test_a_store_without_the_images_is_refused(store: Store, dataset: CocoDataset) -> None:
    more = replace(dataset, images=(*dataset.images, ImageEntry(999, "x.png", (5, 5))))

    with pytest.raises(StoreError, match=r"lacks 1 of the 11 images of .*first image 999"):
        evaluate(MaskHead(CONFIG, SPEC), store, more)


def test_annotations_of_another_image_size_are_refused(store: Store, dataset: CocoDataset) -> None:
    wrong = (replace(dataset.images[0], size_hw=(600, 800)), *dataset.images[1:])

    with pytest.raises(DataError, match=r"image 2 had .* \(61, 97\) .* say \(600, 800\)"):
        evaluate(MaskHead(CONFIG, SPEC), store, replace(dataset, images=wrong, annotations={}))


def test_foreign_categories_are_refused(store: Store, dataset: CocoDataset) -> None:
    foreign = replace(dataset, categories={500: "quark"}, annotations={})

    with pytest.raises(DataError, match="that the detector does not know"):
        evaluate(MaskHead(CONFIG, SPEC), store, foreign)


def test_no_detections_at_all_are_refused(store: Store, dataset: CocoDataset) -> None:
    with pytest.raises(ConfigError, match="max_detections is 0"):
        evaluate(MaskHead(CONFIG, SPEC), store, dataset, max_detections=0)


def test_evaluator_and_resamples_that_cannot_be_are_refused_before_any_work(
    store: Store, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unused(Knows):
        def forward(self, batch: FeatureBatch) -> HeadOutput:
            raise AssertionError("the head ran")

    with pytest.raises(ConfigError, match="bootstrap is -1, expected a number of resamples"):
        evaluate(Unused(dataset), store, dataset, bootstrap=-1)
    monkeypatch.setitem(sys.modules, "vernier", None)
    with pytest.raises(ConfigError, match="the evaluator vernier cannot be imported"):
        evaluate(Unused(dataset), store, dataset, evaluator="vernier")


def test_masks_that_are_not_finite_stop_with_the_image(store: Store, dataset: CocoDataset) -> None:
    class Broken(Knows):
        def forward(self, batch: FeatureBatch) -> HeadOutput:
            output = super().forward(batch)
            output.mask_logits[batch.queries[:, 0] == 10] = float("nan")
            return output

    with pytest.raises(DataError, match="masks of image 10 are not finite"):
        evaluate(Broken(dataset), store, dataset)


def test_a_malformed_mask_is_refused_before_any_work(dataset: CocoDataset, tmp_path: Path) -> None:
    assert dataset.annotations_file is not None
    content = json.loads(dataset.annotations_file.read_text())
    content["annotations"][4]["segmentation"]["counts"] = "Zz~~"
    (tmp_path / "bad.json").write_text(json.dumps(content))

    with pytest.raises(DataError, match="annotation 4"):
        read_dataset(tmp_path / "bad.json", tmp_path)
