"""Training a detector beside the head: rates, losses, resuming, and what the run keeps of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd import MaskFrozenDETR
from mfd.coco import CocoDataset, read_dataset, split_paths
from mfd.config import DetectorChoice
from mfd.demo import generate
from mfd.detectors import load_detector, weights_digest
from mfd.errors import ConfigError, DetectorError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.finetune.truth import detection_truth
from mfd.headtrain.finetune.tuned import LR_FACTOR, MAX_GRAD_NORM
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.features import LiveFeatures
from mfd.headtrain.sources.live import LiveSource
from mfd.headtrain.targets.view_map import ViewMap
from mfd.headtrain.training.loop import make_optimizer
from mfd.headtrain.training.metrics import read_metrics
from mfd.headtrain.training.step import train_step
from mfd.headtrain.training.train import TrainSummary, train
from mfd.headtrain.training.validation import Validation

pytestmark = pytest.mark.usefixtures("one_thread")

HEAD = HeadConfig(image_layers=1, box_layers=1, box_dim=8, roi_size=8, num_heads=2, num_points=2)
TRAIN = TrainConfig(
    epochs=2, batch_size=2, lr=1e-3, warmup_steps=2, log_every=1, finetune="all", val_images=3
)
CHOICE = DetectorChoice("demo", None, 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("data")
    generate(folder, num_train=4, num_val=0, seed=6)
    return read_dataset(*split_paths(folder, "train"))


def fit(dataset: CocoDataset, folder: Path, kind: type[LiveSource], **options: Any) -> TrainSummary:
    source = kind(load_detector("demo"), CHOICE, dataset, HEAD, TRAIN)
    return train(HEAD, TRAIN, source, Run(folder), **options)


@pytest.fixture(scope="module")
def whole(
    one_thread: None, dataset: CocoDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainSummary, list[str]]:
    """A run that was never interrupted, and what it said."""
    folder, said = tmp_path_factory.mktemp("runs") / "whole", []
    detector = load_detector("demo")
    source = LiveSource(detector, CHOICE, dataset, HEAD, TRAIN)
    validation = Validation(LiveFeatures(detector, dataset), dataset, 3)
    done = train(HEAD, TRAIN, source, Run(folder), validation=validation, say=said.append)
    return done, said


def test_a_step_trains_the_detector_at_a_tenth_and_the_head_by_all_losses(
    dataset: CocoDataset,
) -> None:
    """Adam's first step is the learning rate for every number, whatever its gradient."""
    detector = load_detector("demo")
    config = replace(TRAIN, warmup_steps=0, weight_decay=0.0)
    source = LiveSource(detector, CHOICE, dataset, HEAD, config)
    head = MaskHead(HEAD, source.spec).train()
    optimizer = make_optimizer(head, config, source.tuned)
    assert source.tuned is not None
    kinds = {"head": list(head.parameters()), "detector": list(source.tuned.parameters())}
    before = {kind: [p.detach().clone() for p in found] for kind, found in kinds.items()}
    (batch,) = source.batches(0, 1)
    assert batch.detector_loss is not None
    values = train_step(head, optimizer, batch.to("cpu"), config, 0, 9, None).values
    assert values[5] == batch.detector_loss.detach() / batch.detector_objects
    assert values[0] > values[5] > 0
    for kind, rate in (("head", config.lr), ("detector", config.lr * LR_FACTOR)):
        moved = torch.cat(
            [
                (p - b).detach().abs().flatten()
                for p, b in zip(kinds[kind], before[kind], strict=True)
            ]
        )
        assert moved.max().item() == pytest.approx(rate, rel=1e-2)
    norm = torch.stack([p.grad.norm() for p in kinds["detector"] if p.grad is not None]).norm()
    assert norm <= MAX_GRAD_NORM * 1.001


def test_masks_teach_the_detector_too(dataset: CocoDataset) -> None:
    detector = load_detector("demo")
    source = LiveSource(detector, CHOICE, dataset, HEAD, TRAIN)
    head = MaskHead(HEAD, source.spec).train()
    (batch,) = source.batches(0, 1)
    head(batch.to("cpu").features).mask_logits.square().sum().backward()
    assert source.tuned is not None
    for part in ("backbone", "encoder", "decoder"):
        parameters = getattr(source.tuned.module.network, part).parameters()
        assert any(p.grad is not None and p.grad.any() for p in parameters), part


def test_a_run_keeps_the_detector_and_says_its_box_ap_before_and_after(
    whole: tuple[TrainSummary, list[str]], dataset: CocoDataset
) -> None:
    (done, said), frozen = whole, load_detector("demo")
    run = Run.open(done.run.path)
    assert run.config.spec.weights_digest == frozen.spec.weights_digest
    assert run.spec.weights_digest != frozen.spec.weights_digest
    tuned = run.own_detector(load_detector("demo"))
    assert weights_digest(tuned) == tuned.spec.weights_digest == run.spec.weights_digest
    assert not any(p.requires_grad for p in tuned.parameters())
    found = [r["val_box_ap"] for r in read_metrics(run.metrics_file) if "val_box_ap" in r]
    assert len(found) == 3  # before, and after each epoch
    assert f"box AP: {found[0]:.3f} before, {found[2]:.3f} after" in said
    kept = replace(dataset, images=dataset.images[:3])
    after = evaluate(run.load_head(), LiveFeatures(tuned, kept), kept)
    before = evaluate(None, LiveFeatures(frozen, kept), kept)
    assert before["boxes"].ap == pytest.approx(found[0], abs=1e-9)
    assert after["boxes"].ap == pytest.approx(found[2], abs=1e-9)
    assert all("loss_detector" in r for r in read_metrics(run.metrics_file) if "loss" in r)


def test_the_best_head_comes_with_its_own_detector(whole: tuple[TrainSummary, list[str]]) -> None:
    best = whole[0].run.best
    tuned = best.own_detector(load_detector("demo"))
    assert best.load_head().spec.weights_digest == tuned.spec.weights_digest


def test_a_head_is_used_with_the_detector_of_its_run_alone(
    whole: tuple[TrainSummary, list[str]], dataset: CocoDataset
) -> None:
    path = whole[0].run.path
    model = MaskFrozenDETR.from_pretrained(path)
    assert model(dataset.path(dataset.images[0]), min_score=0.0)
    with pytest.raises(DetectorError, match=r"was trained for demo \(weights"):
        MaskFrozenDETR.from_pretrained(path, load_detector("demo"))


def test_an_interrupted_run_resumes_to_the_same_detector(
    whole: tuple[TrainSummary, list[str]], dataset: CocoDataset, tmp_path: Path
) -> None:
    class Stopping(LiveSource):
        def batches(self, start: int, stop: int) -> Any:
            for step, batch in enumerate(super().batches(start, stop), start):
                if step == 3:
                    raise KeyboardInterrupt
                yield batch

    often = replace(TRAIN, checkpoint_every=1)
    source = Stopping(load_detector("demo"), CHOICE, dataset, HEAD, TRAIN)
    with pytest.raises(KeyboardInterrupt):
        train(HEAD, often, source, Run(tmp_path))
    assert not Run(tmp_path).detector_file.exists()
    resumed = fit(dataset, tmp_path, LiveSource, resume=True)
    assert resumed.run.spec.weights_digest == whole[0].run.spec.weights_digest
    ours, theirs = (each.run.load_head().state_dict() for each in (resumed, whole[0]))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_objects_without_a_mask_teach_the_detector_and_crowds_do_not(dataset: CocoDataset) -> None:
    spec, entry = load_detector("demo").spec, dataset.images[0]
    objects = dataset.annotations[entry.image_id]
    changed = (replace(objects[0], segmentation=None), replace(objects[1], iscrowd=True))
    found = detection_truth(changed, spec, ViewMap.whole(entry.size_hw))
    assert found.columns.tolist() == [spec.category_ids.index(objects[0].category_id)]
    left, top, wide, high = objects[0].bbox_xywh
    height, width = entry.size_hw
    expected = [(left + wide / 2) / width, (top + high / 2) / height, wide / width, high / height]
    assert found.boxes_cxcywh[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_detector_is_not_taught_objects_without_categories(dataset: CocoDataset) -> None:
    with pytest.raises(ConfigError, match="leave out finetune or class_agnostic"):
        LiveSource(load_detector("demo"), CHOICE, dataset.without_categories(), HEAD, TRAIN)


def test_a_damaged_detector_of_a_run_is_named(
    whole: tuple[TrainSummary, list[str]], tmp_path: Path
) -> None:
    run = Run(tmp_path)
    run.begin(whole[0].run.config, resume=False)
    run.detector_file.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"detector\.safetensors is damaged"):
        _ = run.spec
