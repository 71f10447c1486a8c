"""Box AP through the map of a view, against the detector run on images changed by hand."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mfd.cache import Store, StoreWriter
from mfd.coco import CocoDataset, read_dataset
from mfd.demo import generate
from mfd.detectors import detect, load_detector
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from mfd.headtrain import evaluate
from mfd.images import prepare_image

MAX_DETECTIONS = 20


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("demo")
    generate(folder, num_train=1, num_val=6, seed=5)
    return read_dataset(folder / "annotations/instances_val2017.json", folder / "val2017")


@pytest.fixture(scope="module")
def detector() -> Any:
    return load_detector("demo")


def extracted(detector: Any, dataset: CocoDataset, root: Path, view: str) -> Store:
    digests = image_digests(dataset, root)
    identity = store_identity(
        detector.spec, dataset, digests, split="val", view=view, dtype="float32"
    )
    with StoreWriter.open(root, identity) as writer:
        extract(detector, dataset, writer, ExtractConfig(batch_size=1, view=view))
    return Store.open(root / identity.folder_name)


def pycocotools_ap(dataset: CocoDataset, results: list[dict[str, Any]]) -> list[float]:
    content = json.loads(Path(str(dataset.annotations_file)).read_text())
    for number, annotation in enumerate(content["annotations"], start=1):
        annotation["id"] = number  # it takes a match with object 0 for none
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        scored = COCOeval(truth, truth.loadRes(results), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return scored.stats[:6].tolist()


def test_box_ap_of_a_flip_store_is_the_detectors_on_mirrored_files(
    detector: Any, dataset: CocoDataset, tmp_path: Path
) -> None:
    results = []
    for entry in dataset.images:
        mirrored = ImageOps.mirror(Image.open(dataset.path(entry)).convert("RGB"))
        image = prepare_image(mirrored, detector.spec.preprocessing)
        (features,) = detect(detector, [image], [entry.image_id])
        height, width = entry.size_hw
        classes = len(detector.spec.category_ids)
        scores, flat = features.logits.sigmoid().flatten().topk(MAX_DETECTIONS)
        for score, index in zip(scores.tolist(), flat.tolist(), strict=True):
            x, y, w, h = features.boxes[index // classes].tolist()
            results.append(
                {
                    "image_id": entry.image_id,
                    "category_id": detector.spec.category_ids[index % classes],
                    "bbox": [(1 - x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
                    "score": score,
                }
            )
    expected = pycocotools_ap(dataset, results)

    store = extracted(detector, dataset, tmp_path, "flip")
    found = evaluate(None, store, dataset, max_detections=MAX_DETECTIONS)

    assert expected[0] > 0.4
    assert list(found["boxes"].overall.values())[:3] == pytest.approx(expected[:3], abs=1e-6)
    assert "the detector saw a view of the images" in found.notes[0]


def test_box_ap_through_the_map_of_a_random_view_is_near_that_of_the_images(
    detector: Any, dataset: CocoDataset, tmp_path: Path
) -> None:
    """Half of the images are cropped, up to 1.5 times larger; what is left is where it was."""
    base = evaluate(None, extracted(detector, dataset, tmp_path, "base"), dataset)
    seen = evaluate(None, extracted(detector, dataset, tmp_path, "ms:0"), dataset)
    assert seen["boxes"].ap > 0.7 * base["boxes"].ap > 0.4
    assert base.notes == ()
