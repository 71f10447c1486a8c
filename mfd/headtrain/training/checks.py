"""What of a training can be refused before there is anything to train on."""

import torch

from mfd.detectors import DetectorSpec
from mfd.distributed import size
from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.training.loggers import require_logger
from mfd.headtrain.training.passes import require_recordable


def require_trainable(
    head: HeadConfig,
    config: TrainConfig,
    spec: DetectorSpec,
    device: torch.device,
    *,
    validated: bool,
) -> None:
    """Nothing, if such a head can be trained by such a recipe here.

    Args:
        validated: whether there is something to validate on.

    Raises:
        ConfigError: the head has nothing to train or does not fit the detector, or the recipe wants
            what is not there: a validation, a GPU, a package, a batch for every process.
    """
    with torch.device("meta"):
        parameters = MaskHead(head, spec).parameters()
    if not head.roi_align or not any(parameter.requires_grad for parameter in parameters):
        raise ConfigError(
            "this head has no trainable parameters; run `mfd evaluate` on it directly"
        )
    if config.patience and not validated:
        raise ConfigError(
            f"patience is {config.patience}, but there is nothing to validate on; run "
            "`mfd extract --split val` and give --val, or leave patience out"
        )
    if config.graphs:
        require_recordable(head, config, device)
    if config.batch_size < size():
        raise ConfigError(
            f"{size()} processes share batches of {config.batch_size} images; start at most "
            f"{config.batch_size}, or give a larger --set batch_size=..."
        )
    require_logger(config.log)
