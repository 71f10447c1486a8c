"""The worked example of a custom detector, on real weights and real images."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import save_file

from mfd.cache import Store, StoreWriter
from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.detectors import (
    C1Source,
    ImageFeatures,
    PendingC1,
    detect,
    load_detector,
    top_detections,
)
from mfd.errors import DetectorError
from mfd.extract import extract, image_digests, store_identity
from mfd.headtrain import MaskHead, evaluate, find_preset
from mfd.images import load_image

EXAMPLE = Path(__file__).parents[2] / "examples" / "deimv2.py"


@pytest.fixture(scope="module")
def detector(shared: Path) -> Any:
    return load_detector(f"{EXAMPLE}:detector", weights=shared / "real" / "deimv2-femto")


@pytest.fixture(scope="module")
def dataset(shared: Path) -> CocoDataset:
    return read_dataset(*split_paths(shared / "real" / "coco", "val"))


@pytest.fixture(scope="module")
def store(detector: Any, dataset: CocoDataset, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("stores")
    digests = image_digests(dataset, root)
    identity = store_identity(
        detector.spec, dataset, digests, split="val", profile="lite", dtype="float32"
    )
    with StoreWriter.open(root, identity) as writer:
        return Store.open(extract(detector, dataset, writer).path)


def results(features: ImageFeatures, spec: Any) -> list[dict[str, Any]]:
    """COCO results of one image, as DETR's evaluation makes them."""
    scores, queries, columns = top_detections(features.logits, spec, spec.max_detections)
    height, width = features.original_hw
    boxes = features.boxes[queries].double()
    corner = boxes[:, :2] - boxes[:, 2:] / 2
    xywh = torch.cat([corner, boxes[:, 2:]], 1) * torch.tensor([width, height] * 2)
    return [
        {"image_id": features.image_id, "category_id": spec.category_ids[c], "bbox": b, "score": s}
        for c, b, s in zip(columns.tolist(), xywh.tolist(), scores.tolist(), strict=True)
    ]


def test_box_ap_of_the_stored_boxes_is_the_published_detectors(
    store: Store, dataset: CocoDataset
) -> None:
    found = [result for features in store for result in results(features, store.spec)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(dataset.annotations_file)
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert 0.337 <= evaluation.stats[0] <= 0.339

    head = MaskHead(replace(find_preset("baseline-roi").config, roi_size=8), store.spec)
    figures = evaluate(head, store, dataset)["boxes"].overall
    assert list(figures.values()) == pytest.approx(evaluation.stats[:6].tolist(), abs=1e-4)


def test_the_store_holds_what_transformers_gives_for_one_image_alone(
    store: Store, detector: Any, dataset: CocoDataset
) -> None:
    for position in (0, 17, 205):
        image = load_image(dataset.path(dataset.images[position]), detector.spec.preprocessing)
        (alone,) = detect(detector, [image], [dataset.images[position].image_id])
        stored = store[position]
        assert stored.image_id == alone.image_id
        for level, wanted in zip(stored.memory, alone.memory, strict=True):
            torch.testing.assert_close(level, wanted, rtol=0, atol=1e-4)
        assert [tuple(m.shape) for m in stored.memory] == [(26, 26, 96), (13, 13, 96)]
        with torch.no_grad():
            model = detector.model(pixel_values=image.pixels[None])
        for name, wanted in {
            "queries": model.last_hidden_state,
            "boxes": model.pred_boxes,
            "logits": model.logits,
        }.items():
            torch.testing.assert_close(getattr(stored, name), wanted[0], rtol=0, atol=1e-3)


def test_stage1_recomputes_the_c1_of_the_whole_detector(
    detector: Any, dataset: CocoDataset
) -> None:
    paths = [dataset.path(entry) for entry in dataset.images[:2]]
    images = [load_image(path, detector.spec.preprocessing) for path in paths]
    whole = detect(detector, images, [0, 1])
    pending = PendingC1.of([C1Source(detector, image) for image in images])
    for features, c1 in zip(whole, pending.compute()[0], strict=True):
        assert c1.shape == (104, 104, 64)
        torch.testing.assert_close(c1, features.c1, rtol=0, atol=1e-5)


def test_hf_computes_what_the_example_computes(
    detector: Any, dataset: CocoDataset, shared: Path
) -> None:
    """The example's box AP is the published one, see above."""
    by_name = load_detector(f"hf:{shared / 'real' / 'deimv2-femto'}")
    paths = [dataset.path(entry) for entry in dataset.images[:2]]
    images = [load_image(path, detector.spec.preprocessing) for path in paths]
    assert by_name.spec.preprocessing == detector.spec.preprocessing
    assert by_name.spec.category_ids == detector.spec.category_ids
    for found, wanted in zip(
        detect(by_name, images, [0, 1]), detect(detector, images, [0, 1]), strict=True
    ):
        for name in ("queries", "boxes", "logits", "c1"):
            assert torch.equal(getattr(found, name), getattr(wanted, name))
        assert all(map(torch.equal, found.memory, wanted.memory))


def test_category_ids_are_cocos(detector: Any, dataset: CocoDataset) -> None:
    assert list(detector.spec.category_ids) == sorted(dataset.categories)


def test_missing_weights_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no weights are given; .* by --weights"):
        load_detector(f"{EXAMPLE}:detector")
    with pytest.raises(DetectorError, match=r"has no config\.json"):
        load_detector(f"{EXAMPLE}:detector", weights=tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_another_model_is_refused(shared: Path, tmp_path: Path) -> None:
    config = shared / "real" / "deimv2-femto" / "config.json"
    (tmp_path / "config.json").write_bytes(config.read_bytes())
    save_file({"other.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(DetectorError, match="is not a DEIMv2"):
        load_detector(f"{EXAMPLE}:detector", weights=tmp_path)
