import json
import multiprocessing
import random
import signal
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mfd.cache import Store
from mfd.config import DetectorChoice
from mfd.errors import TrainingError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training import loop
from mfd.headtrain.training.metrics import read_metrics
from mfd.headtrain.training.train import TrainSummary, train
from tests.builders.runs import HEAD, TRAIN, make_run

pytestmark = pytest.mark.usefixtures("one_thread")

Material = tuple[Store, Targets]


def fit(
    material: Material,
    folder: Path,
    config: TrainConfig = TRAIN,
    head: HeadConfig = HEAD,
    *,
    resume: bool = False,
) -> TrainSummary:
    return train(head, config, StoredSource(*material, head, config), Run(folder), resume=resume)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_run(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def whole(one_thread: None, material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    fit(material, run_dir)
    return run_dir


def assert_same_head(run_dir: Path, other: Path) -> None:
    ours, theirs = (load_file(folder / "head.safetensors") for folder in (run_dir, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def interfere(
    monkeypatch: pytest.MonkeyPatch, step: int, what: str, signum: int = signal.SIGINT
) -> None:
    """Send a signal, or spoil one image's features, when a step's batch is fetched."""
    batches = StoredSource.batches

    def wrapped(self: StoredSource, start: int, stop: int) -> Generator[TrainingBatch, None, None]:
        for index, batch in enumerate(batches(self, start, stop), start):
            if index == step and what == "interrupt":
                signal.raise_signal(signum)
            elif index == step:
                batch.features.memory[0][0] = float("nan")
            yield batch

    monkeypatch.setattr(StoredSource, "batches", wrapped)


def test_a_run_leaves_a_head_and_its_records(whole: Path, material: Material) -> None:
    assert Run.open(whole).load_head().config == HEAD
    lines = read_metrics(whole / "metrics.jsonl")
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert lines[-1]["epoch"] == 3
    assert lines[-1]["lr"] == pytest.approx(TRAIN.lr / 10)
    assert {"loss", "loss_bce", "loss_dice", "loss_iou", "images_per_second"} <= lines[0].keys()
    cost = json.loads((whole / "cost.json").read_text())
    assert cost["training"]["images"] == 30
    assert cost["training"]["bytes"] > 0
    assert cost["extraction"]["bytes"] > 0
    assert cost["targets"]["bytes"] == material[1].num_bytes > 0
    config = Run.open(whole).config
    assert (config.train, config.preset) == (TRAIN, None)
    assert config.categories[90] == "kind 90"
    assert config.source == StoredSource(*material, HEAD, TRAIN).describe()


def test_the_ledger_says_how_long_training_waited_for_batches(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    batches, step = StoredSource.batches, loop.train_step

    def slow_batches(
        self: StoredSource, start: int, stop: int
    ) -> Generator[TrainingBatch | None, None, None]:
        for batch in batches(self, start, stop):
            clock[0] += 2
            yield batch

    def slow_step(*args: Any) -> Any:
        clock[0] += 6
        return step(*args)

    monkeypatch.setattr(StoredSource, "batches", slow_batches)
    monkeypatch.setattr(loop, "train_step", slow_step)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    config = replace(TRAIN, epochs=1)
    progress = fit(material, tmp_path, config).progress
    assert (progress.seconds, progress.waiting_seconds) == (8 * progress.step, 2 * progress.step)


def test_the_same_seed_gives_the_same_head_whatever_the_threads(
    material: Material, whole: Path, tmp_path: Path
) -> None:
    fit(material, tmp_path, replace(TRAIN, readers=4, prefetch=1, log_every=5))
    assert_same_head(tmp_path, whole)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_step_and_resuming_gives_the_same_head(
    material: Material,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signum: signal.Signals,
) -> None:
    with monkeypatch.context() as patch:
        interfere(patch, 6, "interrupt", signum)
        with pytest.raises(KeyboardInterrupt, match=r"after step 7 of 12; .*--resume"):
            fit(material, tmp_path)
    assert not (tmp_path / "head.safetensors").exists()
    summary = fit(material, tmp_path, resume=True)
    assert summary.progress.images == 30
    assert_same_head(tmp_path, whole)
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [2, 4, 6, 7, 8, 10, 12]


def test_resuming_gives_the_same_head_with_every_setting_of_boxes_and_weights(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(
        TRAIN,
        min_pair_iou=0.05,
        extra_queries=2,
        ground_truth_boxes=True,
        box_jitter=0.2,
        ema_decay=0.7,
        offsets_lr_factor=0.1,
        micro_batch=2,
    )
    head = replace(HEAD, frame_margin=0.1, sampling_ratio=0, paste="logits")
    fit(material, tmp_path / "whole", config, head)
    with monkeypatch.context() as patch:
        interfere(patch, 6, "interrupt", signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            fit(material, tmp_path / "stopped", config, head)
    fit(material, tmp_path / "stopped", replace(config, readers=3), head, resume=True)
    assert_same_head(tmp_path / "stopped", tmp_path / "whole")


def run_in_child(root: str, run_dir: str) -> None:
    torch.set_num_threads(1)
    store = Store.open(next(Path(root).glob("tiny-*")))
    targets = Targets.open(next(Path(root, "targets").glob("tiny-*")))
    fit((store, targets), Path(run_dir), resume=True)


def test_killed_at_random_moments_it_resumes_to_the_same_head(
    material: Material, whole: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.headtrain.training.test_train"])
    root, delays = material[0].path.parent, random.Random(0)
    arguments = (str(root), str(tmp_path))
    kills = 0
    while True:
        child = context.Process(target=run_in_child, args=arguments)
        child.start()
        if kills < 4:
            before = {f.name for f in tmp_path.glob("checkpoints/step-*.pt")}
            while child.is_alive() and before >= {
                f.name for f in tmp_path.glob("checkpoints/step-*.pt")
            }:
                time.sleep(0.002)
            time.sleep(delays.uniform(0, 0.3))
            child.kill()
            kills += 1
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
    assert_same_head(tmp_path, whole)
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [2, 4, 6, 8, 10, 12]


def test_a_loss_that_is_not_finite_names_step_and_image_and_is_never_saved(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch,) = StoredSource(*material, HEAD, TRAIN).batches(6, 7)
    culprit = batch.image_names[0]
    with monkeypatch.context() as patch:
        interfere(patch, 6, "spoil")
        with pytest.raises(TrainingError) as caught:
            fit(material, tmp_path, replace(TRAIN, log_every=100))
    assert f"step 7, image {culprit};" in str(caught.value)
    assert [f.name for f in (tmp_path / "checkpoints").iterdir()] == ["step-00000004.pt"]


def test_a_finished_run_is_left_as_it_is(material: Material, whole: Path) -> None:
    written = (whole / "head.safetensors").stat().st_mtime_ns
    assert fit(material, whole, resume=True).progress.step == 12
    assert (whole / "head.safetensors").stat().st_mtime_ns == written


def test_a_folder_with_a_run_is_not_overwritten(material: Material, whole: Path) -> None:
    with pytest.raises(TrainingError, match="already holds a run"):
        fit(material, whole)


def test_resuming_with_another_recipe_names_the_field(material: Material, whole: Path) -> None:
    with pytest.raises(TrainingError, match=r"train\.lr is 0\.001, expected 0\.5"):
        fit(material, whole, replace(TRAIN, lr=0.5), resume=True)
    with pytest.raises(TrainingError, match=r"head\.box_layers is 1, expected 2"):
        fit(material, whole, head=replace(HEAD, box_layers=2), resume=True)


def test_a_run_keeps_detector_and_preset_it_is_told(material: Material, tmp_path: Path) -> None:
    config = replace(TRAIN, epochs=1)
    source = StoredSource(*material, HEAD, config)
    choice = DetectorChoice("own.py:make", "own.pth", 5)
    train(HEAD, config, source, Run(tmp_path), detector=choice, preset="paper")
    described = Run.open(tmp_path).config
    assert described.preset == "paper"
    assert described.detector == DetectorChoice(
        str(Path("own.py:make").absolute()), str(Path("own.pth").absolute()), 5
    )


def test_a_run_is_resumed_despite_damaged_metrics(
    material: Material, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interfere(patch, 6, "interrupt")
        with pytest.raises(KeyboardInterrupt):
            fit(material, tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\0" * 512 + b"\nnonsense\n\xff\n[1]\n")
    fit(material, tmp_path, resume=True)
    assert_same_head(tmp_path, whole)
    steps = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [2, 4, 6, 7, 8, 10, 12]


def test_a_run_that_another_process_trains_is_left_alone(
    material: Material, tmp_path: Path
) -> None:
    with (
        Run(tmp_path).lock(),
        pytest.raises(TrainingError, match="is being trained by another process"),
    ):
        fit(material, tmp_path, resume=True)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]
