"""What a training run says of itself: `config.json` before the first step, `cost.json` with it."""

import json
import platform
from pathlib import Path
from typing import Any

import torch

import mfd
from mfd.cache import Store, difference
from mfd.errors import TrainingError
from mfd.files import write_atomically
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import FREE_ON_RESUME, TrainConfig
from mfd.headtrain.runs.pretrained import CONFIG_FILE, WEIGHTS_FILE, read_config
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training.checkpoint import Position

COST_FILE = "cost.json"


def describe(
    head_config: HeadConfig, train_config: TrainConfig, store: Store, targets: Targets
) -> dict[str, Any]:
    """Everything that determines the weights, and where it came from, as plain JSON values."""
    content = {
        "mfd": mfd.__version__,
        "head": head_config.to_json(),
        "detector": store.spec.to_json(),
        "categories": {str(key): name for key, name in targets.categories.items()},
        "train": train_config.to_json(),
        "features": {
            "path": str(store.path.resolve()),
            "sha256": store.identity.sha256,
            **{key: value for key, value in store.identity.fields.items() if key != "detector"},
        },
        "targets": {"path": str(targets.path.resolve()), **targets.identity},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    return json.loads(json.dumps(content))


def begin_run(run_dir: Path, content: dict[str, Any], *, resume: bool) -> None:
    """Write `config.json`, or make sure that the run already there is this one.

    Raises:
        TrainingError: the folder holds another run, or a run and `resume` is not set.
    """
    path = run_dir / CONFIG_FILE
    if not path.exists():
        run_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
        return
    if not resume:
        raise TrainingError(
            f"{run_dir} already holds a run; go on with it by --resume, or name another folder"
        )
    if found := difference(_fixed(read_config(run_dir)), _fixed(content)):
        raise TrainingError(
            f"{run_dir} cannot be resumed: {found}; use the settings it was begun with, or "
            "another folder"
        )


def is_finished(run_dir: Path) -> bool:
    """Whether the run has reached its last step and written its head."""
    return (run_dir / WEIGHTS_FILE).exists()


def write_cost(run_dir: Path, position: Position, store: Store, targets: Targets) -> None:
    """Put the ledger of seconds and bytes into `cost.json`."""
    info = store.info()
    cost = {
        "extraction": {
            "seconds": info.seconds,
            "bytes": info.num_bytes,
            "images": info.num_images,
            **info.provenance,
        },
        "targets": {"seconds": targets.seconds, "bytes": targets.num_bytes},
        "training": {
            "seconds": round(position.seconds, 3),
            "bytes": position.bytes_read,
            "images": position.images,
            "steps": position.step,
        },
    }
    write_atomically(run_dir / COST_FILE, (json.dumps(cost, indent=1) + "\n").encode())


def _fixed(content: dict[str, Any]) -> dict[str, Any]:
    """The part of `config.json` that an interrupted run and its continuation must share."""
    train = {k: v for k, v in content.get("train", {}).items() if k not in FREE_ON_RESUME}
    return {
        "head": content["head"],
        "detector": content["detector"],
        "train": train,
        "features": content.get("features", {}).get("sha256"),
        "targets": {k: v for k, v in content.get("targets", {}).items() if k != "path"},
    }
