"""Every family from its folder to a trained mask head that is evaluated."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd.cache import Store, StoreWriter
from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.demo import generate
from mfd.detectors import padding_step
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from mfd.headtrain import HeadConfig, Run, StoredSource, TrainConfig, build_targets, evaluate, train
from mfd.images import collate_images, load_image
from tests.detectors.hf.tiny_models import MODELS, run

HEAD = HeadConfig(image_layers=1, box_layers=1, box_dim=16, roi_size=8, num_heads=4, num_points=1)
TRAIN = TrainConfig(epochs=20, batch_size=2, lr=3e-3, log_every=1, warmup_steps=1, readers=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=2, num_val=1, seed=0)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_store_holds_the_models_own_outputs_and_a_head_is_trained_on_it(
    name: str, loaded: Callable[[str], tuple[Any, Any]], data: Path, tmp_path: Path
) -> None:
    model, detector = loaded(name)
    stores: dict[str, tuple[Store, CocoDataset]] = {}
    for split in ("train", "val"):
        dataset = read_dataset(*split_paths(data, split))
        digests = image_digests(dataset, tmp_path)
        identity = store_identity(detector.spec, dataset, digests, split=split, dtype="float32")
        with StoreWriter.open(tmp_path, identity) as writer:
            path = extract(detector, dataset, writer, ExtractConfig(batch_size=1)).path
        stores[split] = Store.open(path), dataset

    store, dataset = stores["train"]
    for features, entry in zip(store, dataset.images, strict=True):
        image = load_image(dataset.path(entry), detector.spec.preprocessing)
        step = padding_step(detector.spec)
        own = run(name, model, *collate_images([image.pixels], step))
        torch.testing.assert_close(features.boxes, own.pred_boxes[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(features.logits, own.logits[0], rtol=0, atol=1e-4)

    head = HEAD if store.spec.has_c1 else replace(HEAD, use_c1=False, neck=False)
    targets = build_targets(store, dataset, tmp_path)
    trained = Run(tmp_path / "run")
    summary = train(head, TRAIN, StoredSource(store, targets, head, TRAIN), trained)
    assert summary.progress.step == 20
    store, dataset = stores["val"]
    evaluation = evaluate(trained.load_head(), store, dataset)
    assert evaluation.detections == min(detector.spec.max_detections, 11 * 91)
