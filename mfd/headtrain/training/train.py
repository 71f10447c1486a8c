"""Training a mask head from a store, into a run folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mfd.cache import Store
from mfd.errors import ConfigError, TrainingError
from mfd.files import exclusive_lock
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.runs.folder import begin_run, describe, is_finished, write_cost
from mfd.headtrain.runs.pretrained import WEIGHTS_FILE
from mfd.headtrain.sources.stored import StoredBatches
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training.checkpoint import Position, write_weights
from mfd.headtrain.training.loop import TrainingLoop
from mfd.headtrain.training.metrics import Record

LOCK_FILE = ".lock"


@dataclass(frozen=True)
class TrainSummary:
    """What a finished run amounts to.

    Attributes:
        metrics: of the last logged steps; empty if the run was finished before.
    """

    run_dir: Path
    position: Position
    metrics: Record


def train(
    head_config: HeadConfig,
    train_config: TrainConfig,
    store: Store,
    targets: Targets,
    run_dir: Path,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
) -> TrainSummary:
    """A trained head in `run_dir`, with the record of its training.

    The folder receives `config.json` before the first step, `metrics.jsonl`, `checkpoints/` and
    `cost.json` on the way, and `head.safetensors` at the end.

    Args:
        store: completed by `Store.with_c1` if it leaves out what the head reads.
        targets: of this store, with crops that are a multiple of the head's masks.
        resume: go on with the run in `run_dir` from its latest checkpoint, or from the start if it
            has none; the weights become those of an uninterrupted run, to the bit on a CPU with
            the same number of threads.

    Raises:
        ConfigError: the head has nothing to train or does not fit the detector or the targets.
        TrainingError: the folder holds another run, another process trains it, or a loss is not
            finite.
        KeyboardInterrupt: after Ctrl-C, when a checkpoint is written; its text says how to go on.
    """
    device = torch.device(device)
    if targets.crop_size % head_config.roi_size:
        raise ConfigError(
            f"masks of {head_config.roi_size} cells need crops of a multiple, found "
            f"{targets.crop_size}; build targets of crop size {4 * head_config.roi_size}"
        )
    source = StoredBatches(
        store,
        targets,
        train_config,
        needs_c1=head_config.use_c1,
        pin_memory=device.type == "cuda",
    )
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(train_config.seed)
        head = MaskHead(head_config, store.spec)
    if not head_config.roi_align or not any(p.requires_grad for p in head.parameters()):
        raise ConfigError("this head is free of training; evaluate it as it is")
    run_dir.mkdir(parents=True, exist_ok=True)
    busy = TrainingError(
        f"{run_dir} is being trained by another process; wait for it, stop it, or name another run"
    )
    with exclusive_lock(run_dir / LOCK_FILE, busy):
        begin_run(run_dir, describe(head_config, train_config, store, targets), resume=resume)
        loop = TrainingLoop(run_dir, head.to(device), source, train_config)
        if is_finished(run_dir):
            return TrainSummary(run_dir, loop.position, {})
        try:
            metrics = loop.run()
        finally:
            write_cost(run_dir, loop.position, store, targets)
        write_weights(run_dir / WEIGHTS_FILE, head.state_dict())
    return TrainSummary(run_dir, loop.position, metrics)
