"""The detector at work as a source of batches, against a store of the same features."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd.cache import Store, StoreWriter
from mfd.coco import Annotations, CocoDataset, read_dataset, split_paths
from mfd.demo import generate
from mfd.detectors import Detector, detect_all, freeze, weights_digest
from mfd.detectors.contract import DetectorOutput
from mfd.errors import DataError, DetectorError, TrainingError
from mfd.extract import ExtractConfig, extract, image_digests, store_identity
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.live import LiveSource
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.training.train import train
from mfd.images import Preprocessing
from tests.builders.deformable import small_detector
from tests.builders.live import CHOICE, HEAD, TRAIN
from tests.builders.runs import train_losses

pytestmark = pytest.mark.usefixtures("one_thread")


def deformable() -> Detector:
    detector = small_detector("dino")
    preprocessing, digest = Preprocessing(size_hw=(70, 103)), weights_digest(detector)
    detector.spec = replace(detector.spec, preprocessing=preprocessing, weights_digest=digest)
    return freeze(detector)


def store_of(detector: Detector, dataset: CocoDataset, root: Path, batch_size: int) -> Store:
    identity = store_identity(
        detector.spec, dataset, image_digests(dataset, root), split="train", dtype="float32"
    )
    with StoreWriter.open(root, identity) as writer:
        extract(detector, dataset, writer, ExtractConfig(batch_size=batch_size))
        return Store.open(writer.finish())


@pytest.mark.parametrize(
    ("name", "batch_size"),
    [
        ("demo", 3),  # images differ in size
        ("deformable", 3),  # of one size
    ],
)
def test_live_losses_are_those_of_a_float32_store(
    name: str, batch_size: int, demo: Detector, dataset: CocoDataset, tmp_path: Path
) -> None:
    detector = demo if name == "demo" else deformable()
    config = replace(TRAIN, batch_size=batch_size)
    store = store_of(detector, dataset, tmp_path, batch_size)
    targets = build_targets(store, dataset, tmp_path)
    stored = StoredSource(store, targets, HEAD, config)
    live = LiveSource(detector, CHOICE, dataset, HEAD, config)
    assert live.images_per_epoch == stored.images_per_epoch
    assert live.steps_per_epoch == stored.steps_per_epoch
    expected = train_losses(HEAD, stored, config)
    assert expected[:, 0].min() > 0
    torch.testing.assert_close(train_losses(HEAD, live, config), expected, rtol=1e-4, atol=1e-5)


def test_live_batches_are_those_of_a_store(
    demo: Detector, dataset: CocoDataset, tmp_path: Path
) -> None:
    store = store_of(demo, dataset, tmp_path, 1)
    targets = build_targets(store, dataset, tmp_path)
    config = replace(TRAIN, batch_size=1)
    stored = StoredSource(store, targets, HEAD, config).batches(0, 14)
    live = LiveSource(demo, CHOICE, dataset, HEAD, config).batches(0, 14)
    for ours, theirs in zip(live, stored, strict=True):
        assert ours.image_names == theirs.image_names
        assert torch.equal(ours.features.labels, theirs.features.labels)
        assert torch.equal(ours.features.image_index, theirs.features.image_index)
        for field in ("memory_hw", "c1_hw", "input_hw"):
            assert torch.equal(getattr(ours.features, field), getattr(theirs.features, field))
        pairs = zip(ours.features.memory, theirs.features.memory, strict=True)
        for a, b in (*pairs, (ours.features.queries, theirs.features.queries)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        assert (ours.crops.int() - theirs.crops.int()).abs().max() <= 1
        torch.testing.assert_close(ours.area_ratio, theirs.area_ratio, rtol=1e-4, atol=0)


def test_live_order_depends_neither_on_threads_nor_on_where_one_begins(
    demo: Detector, dataset: CocoDataset
) -> None:
    alone, many = (
        LiveSource(demo, CHOICE, dataset, HEAD, replace(TRAIN, readers=readers, prefetch=ahead))
        for readers, ahead in ((1, 1), (4, 7))
    )
    batches = list(alone.batches(0, 6))
    for first in (0, 4):
        for ours, theirs in zip(many.batches(first, 6), batches[first:], strict=True):
            assert ours.image_names == theirs.image_names
            assert torch.equal(ours.features.boxes, theirs.features.boxes)
            assert torch.equal(ours.crops, theirs.crops)


def test_a_live_run_is_resumed_to_the_bit_and_knows_what_the_detector_took(
    demo: Detector, dataset: CocoDataset, tmp_path: Path
) -> None:
    source = LiveSource(demo, CHOICE, dataset, HEAD, TRAIN)
    whole = train(HEAD, TRAIN, source, Run(tmp_path / "whole"))

    class Stopping(LiveSource):
        def batches(self, start: int, stop: int) -> Any:
            for step, batch in enumerate(super().batches(start, stop), start):
                if step == 3:
                    raise KeyboardInterrupt
                yield batch

    stopping = Stopping(demo, CHOICE, dataset, HEAD, TRAIN)
    often = replace(TRAIN, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        train(HEAD, often, stopping, Run(tmp_path / "cut"))
    before = Run(tmp_path / "cut").cost()["training"]
    resumed = train(HEAD, TRAIN, source, Run(tmp_path / "cut"), resume=True)
    ours, theirs = (each.run.load_head().state_dict() for each in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    cost = resumed.run.cost()["training"]
    assert cost["steps"] == 6
    assert 0 < before["detector_seconds"] < cost["detector_seconds"] < cost["seconds"]
    assert cost["head_seconds"] == pytest.approx(
        cost["seconds"] - cost["detector_seconds"], abs=2e-3
    )
    assert resumed.run.config.source["kind"] == "live"
    assert resumed.run.config.detector == CHOICE


def test_a_live_source_describes_what_determines_the_weights(
    demo: Detector, dataset: CocoDataset
) -> None:
    found = LiveSource(demo, CHOICE, dataset, HEAD, TRAIN).describe()
    assert json.loads(json.dumps(found)) == found
    assert (found["kind"], found["autocast"]) == ("live", "float32")
    assert found["images"]["count"] == 7
    reduced = replace(TRAIN, precision="bfloat16")
    assert LiveSource(demo, CHOICE, dataset, HEAD, reduced).describe() != found


def test_live_training_needs_annotations_with_objects(demo: Detector, dataset: CocoDataset) -> None:
    with pytest.raises(DataError, match="give --annotations"):
        LiveSource(demo, CHOICE, replace(dataset, annotations_file=None), HEAD, TRAIN)
    with pytest.raises(TrainingError, match="no object that the head could learn from in 7"):
        LiveSource(demo, CHOICE, replace(dataset, annotations=Annotations.of()), HEAD, TRAIN)


def test_absent_image_files_are_left_out_and_damaged_ones_named(
    demo: Detector, tmp_path: Path
) -> None:
    generate(tmp_path, num_train=3, num_val=0, seed=5)
    data = read_dataset(*split_paths(tmp_path, "train"))
    data.path(data.images[0]).unlink()
    source = LiveSource(demo, CHOICE, data, HEAD, TRAIN)
    assert source.images_per_epoch == 2
    data.path(data.images[1]).write_bytes(b"no image")
    with pytest.raises(DataError, match=data.images[1].file_name):
        list(source.batches(0, 1))


class Spoiled(torch.nn.Module):
    """A detector that computes NaN, or changes a number of its own while it runs."""

    def __init__(self, detector: Any, how: str) -> None:
        super().__init__()
        self.inner, self.how, self.spec = detector, how, detector.spec
        self.register_buffer("count", torch.zeros(()))

    def forward(self, images: torch.Tensor, padding_mask: torch.Tensor) -> DetectorOutput:
        output = self.inner(images, padding_mask)
        if self.how == "changes":
            self.count += 1
        else:
            output.logits[0, 0, 0] = torch.nan
        return output


def test_a_detector_that_computes_nan_is_named_with_the_image(
    demo: Detector, dataset: CocoDataset
) -> None:
    source = LiveSource(Spoiled(demo, "nan").eval(), CHOICE, dataset, HEAD, TRAIN)
    with pytest.raises(TrainingError, match=r"output for image \d+ \(.*jpg\) holds NaN"):
        list(source.batches(0, 1))


def test_a_detector_that_changes_while_it_runs_is_refused(
    demo: Detector, dataset: CocoDataset
) -> None:
    source = LiveSource(Spoiled(demo, "changes").eval(), CHOICE, dataset, HEAD, TRAIN)
    with pytest.raises(DetectorError, match="weights changed while it ran"):
        list(source.batches(0, 1))


def test_live_features_are_what_the_detector_computes(demo: Detector, dataset: CocoDataset) -> None:
    from mfd.images import load_image

    config = replace(TRAIN, batch_size=1)
    (batch,) = LiveSource(demo, CHOICE, dataset, HEAD, config).batches(2, 3)
    image_id = int(batch.image_names[0].split()[0])
    (entry,) = (entry for entry in dataset.images if entry.image_id == image_id)
    image = load_image(dataset.path(entry), demo.spec.preprocessing)
    (features,) = detect_all(demo, [image], [image_id], 1)
    assert torch.equal(batch.features.memory[0][0], features.memory[0])
    assert features.c1 is not None
    assert batch.features.c1 is not None
    assert torch.equal(batch.features.c1[0], features.c1)
