"""Heads that are trained on one reading are, to the bit, those that are trained alone."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mfd.cache import Store
from mfd.errors import ConfigError, TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.shared import SharedReading
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training import loop as training_loop
from mfd.headtrain.training.metrics import Record, read_metrics
from mfd.headtrain.training.sweep import sweep
from mfd.headtrain.training.train import train
from mfd.headtrain.training.training import Training
from mfd.headtrain.training.validation import Validation
from tests.builders import runs
from tests.builders.runs import HEAD, TRAIN, make_run

pytestmark = pytest.mark.usefixtures("one_thread")

Material = tuple[Store, Targets, Validation]

SHORT = replace(TRAIN, epochs=2)
HEADS: dict[str, tuple[HeadConfig, TrainConfig]] = {
    "base": (HEAD, SHORT),
    "steep": (HEAD, replace(SHORT, lr=5e-3, dice_weight=1.0, ema_decay=0.5, log_every=3)),
    "plain": (
        replace(HEAD, use_c1=False, neck=False, roi_size=16, frame_margin=0.1),
        replace(TRAIN, box_jitter=0.2, extra_queries=1, micro_batch=2, epochs=3),
    ),
    "seeded": (HEAD, replace(SHORT, seed=5)),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("stores")
    store, targets = make_run(folder)
    return store, targets, Validation(store, runs.make_dataset(folder, store), 3)


def training(material: Material, folder: Path, name: str, **changes: Any) -> Training:
    head, config = HEADS[name]
    config = replace(config, **changes)
    store, targets, validation = material
    source = StoredSource(store, targets, head, config)
    return Training(head, config, source, Run(folder / name), validation=validation)


@pytest.fixture(scope="module")
def alone(one_thread: None, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of all heads, each trained by itself."""
    folder = tmp_path_factory.mktemp("alone")
    store, targets, validation = material
    for name, (head, config) in HEADS.items():
        source = StoredSource(store, targets, head, config)
        train(head, config, source, Run(folder / name), validation=validation)
    return folder


def assert_same_runs(folder: Path, alone: Path, *names: str) -> None:
    for name in names:
        for file in ("head.safetensors", "best/head.safetensors"):
            ours, theirs = (load_file(each / name / file) for each in (folder, alone))
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours), (name, file)
        assert untimed(folder / name) == untimed(alone / name)


def untimed(run: Path) -> list[Record]:
    timed = {"seconds", "images_per_second", "val_seconds"}
    return [
        {key: value for key, value in record.items() if key not in timed}
        for record in read_metrics(run / "metrics.jsonl")
    ]


def test_heads_of_a_sweep_are_those_trained_alone(
    material: Material, alone: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    assert sweep([training(material, tmp_path, name) for name in HEADS], say=said.append) == {}
    assert said[0] == "read together: base, steep, plain"
    assert "read alone: seeded" in said
    assert_same_runs(tmp_path, alone, *HEADS)
    costs = {
        name: [
            json.loads((f / name / "cost.json").read_text())["training"] for f in (tmp_path, alone)
        ]
        for name in HEADS
    }
    assert all(ours["steps"] == theirs["steps"] for ours, theirs in costs.values())
    # of eight steps for three heads, and four more for one of them, each was read once
    shared = sum(costs[name][0]["bytes"] for name in ("base", "steep", "plain"))
    assert costs["base"][1]["bytes"] * 1.5 == pytest.approx(shared)
    assert 0 < costs["base"][0]["bytes"] < costs["base"][1]["bytes"] / 2


def test_signal_saves_all_heads_and_resuming_makes_those_of_a_whole_sweep(
    material: Material, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("base", "steep", "plain")
    taken = SharedReading._of

    def interrupted(self: SharedReading, number: int, step: int) -> object:
        if (number, step) == (1, 5):
            signal.raise_signal(signal.SIGTERM)
        return taken(self, number, step)

    with monkeypatch.context() as patch:
        patch.setattr(SharedReading, "_of", interrupted)
        with pytest.raises(training_loop.Stopped, match=r"after step \d of .*--resume") as stopped:
            sweep([training(material, tmp_path, name) for name in names])
    assert stopped.value.signum == signal.SIGTERM
    kept = {name: sorted(f.name for f in tmp_path.glob(f"{name}/checkpoints/*")) for name in names}
    assert {files[-1] for files in kept.values()} <= {"step-00000006.pt", "step-00000007.pt"}
    (tmp_path / "base/checkpoints" / kept["base"][-1]).unlink()  # as if killed a little earlier
    said: list[str] = []
    assert (
        sweep([training(material, tmp_path, name) for name in names], resume=True, say=said.append)
        == {}
    )
    assert "base: resuming after step 4 of 8" in said
    assert any(line.startswith("plain: resuming after step ") for line in said)
    for name in names:
        for file in ("head.safetensors", "best/head.safetensors"):
            assert (tmp_path / name / file).read_bytes() == (alone / name / file).read_bytes()
    again: list[str] = []
    assert (
        sweep([training(material, tmp_path, name) for name in names], resume=True, say=again.append)
        == {}
    )
    assert again == ["read together: base, steep, plain"]


def test_a_stop_while_one_head_is_validated_stops_all(
    material: Material, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("base", "steep")

    def interrupted(self: Validation, head: Any) -> Record:
        raise training_loop.Stopped("", signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "measure", interrupted)
        with pytest.raises(training_loop.Stopped, match="after step 4 of 8"):
            sweep([training(material, tmp_path, name) for name in names])
    assert sweep([training(material, tmp_path, name) for name in names], resume=True) == {}
    for name in names:
        head = (alone / name / "head.safetensors").read_bytes()
        assert (tmp_path / name / "head.safetensors").read_bytes() == head


def test_a_loss_that_is_not_finite_ends_its_head_alone(
    material: Material, alone: Path, tmp_path: Path
) -> None:
    wild = training(material, tmp_path, "steep", lr=1e30, ema_decay=0.0, log_every=1)
    said: list[str] = []
    failed = sweep(
        [training(material, tmp_path, "base"), wild, training(material, tmp_path, "plain")],
        say=said.append,
    )
    assert list(failed) == ["steep"]
    assert "the loss or its gradient is not finite at step " in str(failed["steep"])
    assert f"steep: {failed['steep']}" in said
    assert not (tmp_path / "steep/head.safetensors").exists()
    assert_same_runs(tmp_path, alone, "base", "plain")


def test_a_head_without_a_store_is_refused(material: Material, tmp_path: Path) -> None:
    other = training(material, tmp_path, "base")
    other.source = object()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="base runs the detector on every batch, and a sweep is"):
        sweep([training(material, tmp_path, "steep"), other])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_another_one_ends_a_sweep_before_it_begins(
    material: Material, alone: Path
) -> None:
    with pytest.raises(TrainingError, match=r"cannot be resumed: .*train\.lr"):
        sweep([training(material, alone, "base", lr=0.3)], resume=True)
