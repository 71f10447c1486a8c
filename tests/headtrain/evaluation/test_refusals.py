"""What cannot be evaluated is refused before any work, or stops with its cause."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mfd.cache import Store
from mfd.coco import Annotations, CocoDataset, ImageEntry, read_dataset
from mfd.errors import ConfigError, DataError, DetectorError, StoreError
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput, MaskHead
from tests.builders.scenes import CONFIG, SPEC, Knows


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
        evaluate(
            MaskHead(CONFIG, SPEC),
            store,
            replace(dataset, images=wrong, annotations=Annotations.of()),
        )


def test_foreign_categories_are_refused(store: Store, dataset: CocoDataset) -> None:
    foreign = replace(dataset, categories={500: "quark"}, annotations=Annotations.of())

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
