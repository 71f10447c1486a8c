"""Damaged runs and targets are used or refused in one line, naming the file."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mfd.config import DetectorChoice
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.config import RunConfig
from mfd.headtrain.runs.evaluations import evaluations_of
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from mfd.headtrain.training.metrics import MetricsLog
from tests.builders.mutations import (
    mutated_bytes,
    mutated_text,
    mutated_value,
    require_used_or_named,
)
from tests.builders.runs import HEAD, SPEC, TRAIN, make_dataset, make_store

Mutate = Callable[[bytes, random.Random], bytes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "own")
    run.begin(
        RunConfig(HEAD, SPEC, DetectorChoice("nearly"), {1: "disc"}, TRAIN, "paper", {"kind": "x"}),
        resume=False,
    )
    head = MaskHead(HEAD, SPEC)
    run.save_head(head)
    run.write_cost({"training": {"seconds": 3.5, "steps": 3, "images": 9, "bytes": 5}})
    run.metrics_file.write_text('{"step": 2, "loss": 1.5}\n{"step": 4, "loss": 1.2}\n')
    save_checkpoint(run.checkpoints, Progress(4, 8), head, torch.optim.AdamW(head.parameters()))
    (run.path / "evaluations/val-x").mkdir(parents=True)
    (run.path / "evaluations/val-x/evaluation.json").write_text('{"box_ap": 0.5, "notes": []}')
    return run


def json_value(whole: bytes, chance: random.Random) -> bytes:
    return json.dumps(mutated_value(json.loads(whole), chance)).encode()


def use(folder: Path) -> None:
    """All that commands read of a run."""
    run = Run.open(folder)
    head = run.load_head()
    Progress.from_cost(run.cost())
    evaluations_of(run)
    load_checkpoint(run.checkpoints, head, torch.optim.AdamW(head.parameters()))
    MetricsLog(run.metrics_file, 3).__exit__(None, None, None)


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize(
    ("name", "mutate", "tries"),
    [
        ("config.json", json_value, 120),
        ("config.json", mutated_text, 60),
        ("cost.json", json_value, 40),
        ("metrics.jsonl", mutated_text, 20),
        ("head.safetensors", mutated_bytes, 60),
        ("checkpoints/step-00000004.pt", mutated_bytes, 60),
        ("evaluations/val-x/evaluation.json", mutated_text, 20),
    ],
)
def test_a_damaged_run_is_used_or_named(
    name: str, mutate: Mutate, tries: int, run: Run, tmp_path: Path
) -> None:
    chance = random.Random(name)
    folder = Path(shutil.copytree(run.path, tmp_path / "run"))
    path, whole = folder / name, (folder / name).read_bytes()
    use(folder)
    for _ in range(tries):
        path.write_bytes(mutate(whole, chance))
        require_used_or_named(lambda: use(folder), str(folder))


@pytest.mark.parametrize("kind", ["values", "bytes", "files"])
def test_damaged_targets_are_built_again(kind: str, tmp_path: Path) -> None:
    """What is read is what was written, to the byte, whatever was done to the files."""
    store = make_store(tmp_path)
    dataset = make_dataset(tmp_path, store)
    sound = build_targets(store, dataset, tmp_path)
    copy = Path(shutil.copytree(sound.path, tmp_path / "copy"))
    files = sorted(file for file in copy.rglob("*") if file.is_file())
    expected, chance = values(sound), random.Random(kind)
    for _ in range(20):
        shutil.rmtree(sound.path)
        shutil.copytree(copy, sound.path)
        victim = sound.path / chance.choice(files).relative_to(copy)
        if kind == "values":
            victim = sound.path / "zarr.json"
            victim.write_bytes(json_value(victim.read_bytes(), chance))
        elif kind == "bytes":
            victim.write_bytes(mutated_bytes(victim.read_bytes(), chance))
        else:
            victim.unlink()
        told: list[str] = []
        found = build_targets(store, dataset, tmp_path, told.append)
        assert values(found) == expected, (victim, told)
        StoredSource(store, found, HEAD, TRAIN)
        assert all(str(sound.path) in line and len(line.splitlines()) == 1 for line in told)


def values(targets: Targets) -> list[object]:
    arrays = [
        [t.query_index.tolist(), t.object_index.tolist(), t.objects.labels.tolist()]
        + [runs.tolist() for runs in t.objects.runs]
        for t in (targets[i] for i in range(len(targets)))
    ]
    return [arrays, targets.image_ids, targets.identity, targets.total, targets.categories]
