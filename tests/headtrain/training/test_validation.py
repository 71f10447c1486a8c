"""Validation tells the AP of a sample, keeps the best head, and disturbs no training."""

import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mfd.cache import Store
from mfd.coco import CocoDataset, read_dataset
from mfd.errors import ConfigError, DataError, DetectorError, TrainingError
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training import loop as training_loop
from mfd.headtrain.training.metrics import Record, read_metrics
from mfd.headtrain.training.train import TrainSummary, train
from mfd.headtrain.training.validation import Validation
from tests.builders import runs, scenes
from tests.builders.runs import HEAD, TRAIN, make_run

pytestmark = pytest.mark.usefixtures("one_thread")

Material = tuple[Store, Targets]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_run(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, CocoDataset]:
    dataset = scenes.make_dataset(tmp_path_factory.mktemp("data"))
    return scenes.make_store(tmp_path_factory.mktemp("scenes"), dataset), dataset


class Scripted(Validation):
    """Finds the given APs one after the other, and remembers the heads it was shown."""

    def __init__(self, material: Material, found: Sequence[float], stop_at: int = -1) -> None:
        self.spec, self.found, self.stop_at = material[0].spec, list(found), stop_at
        self.heads: list[dict[str, torch.Tensor]] = []

    def measure(self, head: MaskHead) -> Record:
        if len(self.heads) == self.stop_at:
            self.stop_at = -1
            raise training_loop.Stopped("", signal.SIGTERM)
        self.heads.append({name: value.clone() for name, value in head.state_dict().items()})
        return {"val_mask_ap": self.found[len(self.heads) - 1]}

    def describe(self) -> dict[str, Any]:
        return {"scripted": True}


def fit(
    material: Material,
    folder: Path,
    validation: Validation | None,
    config: TrainConfig = TRAIN,
    **options: Any,
) -> TrainSummary:
    source = StoredSource(*material, HEAD, config)
    return train(HEAD, config, source, Run(folder), validation=validation, **options)


def same(weights: dict[str, torch.Tensor], file: Path) -> bool:
    there = load_file(file)
    return all(torch.equal(value, there[name]) for name, value in weights.items())


def validated(folder: Path) -> list[tuple[Any, ...]]:
    lines = [line for line in read_metrics(folder / "metrics.jsonl") if "val_mask_ap" in line]
    return [(line["step"], line["epoch"], line["val_mask_ap"]) for line in lines]


def test_figures_are_those_of_an_evaluation_of_the_sample(
    scene: tuple[Store, CocoDataset], tmp_path: Path
) -> None:
    """The same annotation file cut down to every third image, read and evaluated by itself."""
    store, dataset = scene
    assert dataset.annotations_file is not None
    content = json.loads(dataset.annotations_file.read_text())
    content["images"] = content["images"][::3][:3]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    (tmp_path / "sample.json").write_text(json.dumps(content))
    expected = evaluate(
        scenes.Knows(dataset), store, read_dataset(tmp_path / "sample.json", tmp_path)
    )

    validation = Validation(store, dataset, images=3)
    found = validation.measure(Weighted(dataset))

    masks = expected["masks"].overall
    assert found.pop("val_seconds") > 0
    assert found == {
        "val_mask_ap": masks["ap"],
        "val_mask_ap50": masks["ap50"],
        "val_mask_ap75": masks["ap75"],
        "val_box_ap": expected["boxes"].ap,
    }
    assert masks["ap"] != evaluate(scenes.Knows(dataset), store, dataset)["masks"].ap
    assert str(validation) == f"3 images of {store.path}"


class Weighted(scenes.Knows):
    """As `Knows`, on a device as every trained head is."""

    def __init__(self, dataset: CocoDataset) -> None:
        super().__init__(dataset)
        self.weight = torch.nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize("training", [True, False])
def test_measuring_draws_no_random_number_and_leaves_the_heads_mode(
    scene: tuple[Store, CocoDataset], training: bool
) -> None:
    head = Weighted(scene[1]).train(training)
    before = torch.get_rng_state()
    Validation(*scene).measure(head)
    assert torch.equal(torch.get_rng_state(), before)
    assert head.training == training


def test_training_is_the_same_with_validation_and_without(
    material: Material, tmp_path: Path
) -> None:
    store = material[0]
    dataset = runs.make_dataset(tmp_path, store)
    fit(material, tmp_path / "without", None)
    fit(material, tmp_path / "with", Validation(store, dataset))
    assert same(
        load_file(tmp_path / "without/head.safetensors"), tmp_path / "with/head.safetensors"
    )
    assert [found[:2] for found in validated(tmp_path / "with")] == [(4, 1), (8, 2), (12, 3)]
    assert not (tmp_path / "without/best").exists()


def test_the_best_head_is_kept_beside_the_last(material: Material, tmp_path: Path) -> None:
    validation, said = Scripted(material, (0.1, 0.3, 0.3)), []
    fit(material, tmp_path, validation, say=said.append)
    first, second, third = validation.heads
    assert not same(first, tmp_path / "best/head.safetensors")
    assert same(second, tmp_path / "best/head.safetensors")
    assert same(third, tmp_path / "head.safetensors")
    assert validated(tmp_path) == [(4, 1, 0.1), (8, 2, 0.3), (12, 3, 0.3)]
    assert said == [f"best: {tmp_path}/best, val mask AP 0.300 after epoch 2"]
    best = Run.open(tmp_path / "best")
    assert best.load_head().config == HEAD
    assert best.config == Run.open(tmp_path).config


def test_a_run_stopped_while_it_is_validated_resumes_with_the_validation(
    material: Material, tmp_path: Path
) -> None:
    whole = Scripted(material, (0.1, 0.3, 0.2))
    fit(material, tmp_path / "whole", whole)
    validation, said = Scripted(material, (0.1, 0.3, 0.2), stop_at=1), []
    with pytest.raises(training_loop.Stopped, match=r"after step 8 of 12; .*--resume") as stopped:
        fit(material, tmp_path / "cut", validation)
    assert stopped.value.signum == signal.SIGTERM
    assert same(whole.heads[0], tmp_path / "cut/best/head.safetensors")
    fit(material, tmp_path / "cut", validation, resume=True, say=said.append)
    assert said[0] == "resuming after step 8 of 12"
    assert validated(tmp_path / "cut") == validated(tmp_path / "whole")
    for file in ("head.safetensors", "best/head.safetensors"):
        assert same(load_file(tmp_path / "whole" / file), tmp_path / "cut" / file)


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 4)])
def test_training_ends_after_epochs_without_a_better_one(
    material: Material, tmp_path: Path, patience: int, epochs: int
) -> None:
    validation = Scripted(material, (0.1, 0.3, 0.2, 0.3, 0.1, 0.9))
    config = replace(TRAIN, epochs=6, patience=patience)
    summary = fit(material, tmp_path, validation, config)
    assert [epoch for _, epoch, _ in validated(tmp_path)] == [*range(1, epochs + 1)]
    assert summary.progress.step == 4 * epochs
    assert same(validation.heads[-1], tmp_path / "head.safetensors")


def test_a_run_that_ended_early_stays_ended(material: Material, tmp_path: Path) -> None:
    """Killed between the last validation and the weights that finish it."""
    config = replace(TRAIN, epochs=6, patience=1)
    fit(material, tmp_path, Scripted(material, (0.3, 0.2)), config)
    weights = load_file(tmp_path / "head.safetensors")
    (tmp_path / "head.safetensors").unlink()
    fit(material, tmp_path, Scripted(material, ()), config, resume=True)
    assert same(weights, tmp_path / "head.safetensors")


def test_patience_needs_the_validation_it_began_with(material: Material, tmp_path: Path) -> None:
    config = replace(TRAIN, epochs=2, patience=1)
    with pytest.raises(ConfigError, match="patience is 1, but there is nothing to validate on"):
        fit(material, tmp_path, None, config)
    fit(material, tmp_path, Scripted(material, (0.3, 0.2)), config)
    other = Scripted(material, ())
    other.describe = lambda: {"scripted": False}  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"validation\.scripted is true, expected false"):
        fit(material, tmp_path, other, config, resume=True)


def test_a_validation_of_another_detector_is_refused(material: Material, tmp_path: Path) -> None:
    validation = Scripted(material, ())
    validation.spec = replace(validation.spec, weights_digest="9f" * 32)
    with pytest.raises(DetectorError, match="the head was trained for"):
        fit(material, tmp_path, validation)


@pytest.mark.parametrize("change", [{"iscrowd": 1}, {"category_id": 55}])
def test_a_sample_without_known_objects_is_refused(
    material: Material, tmp_path: Path, change: dict[str, int]
) -> None:
    dataset = runs.make_dataset(tmp_path, material[0], **change)
    with pytest.raises(DataError, match="11 images to validate on have no object that"):
        Validation(material[0], dataset)


def test_a_class_agnostic_sample_needs_no_known_category(
    material: Material, tmp_path: Path
) -> None:
    dataset = runs.make_dataset(tmp_path, material[0], category_id=55).without_categories()
    assert str(Validation(material[0], dataset)) == f"11 images of {material[0].path}"


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, range(1, 13)), (1e9, [4, 8, 12])])
def test_checkpoints_are_written_by_time_beside_by_step(
    material: Material,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    steps: Sequence[int],
) -> None:
    saved = []
    monkeypatch.setattr(
        training_loop, "save_checkpoint", lambda folder, progress, *_: saved.append(progress.step)
    )
    fit(material, tmp_path, None, replace(TRAIN, checkpoint_seconds=seconds))
    assert saved == [*steps]
