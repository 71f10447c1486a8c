"""The exponential moving average of a head's weights over the steps of its training."""

from typing import cast

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mfd.headtrain.head.model import MaskHead


class WeightAverage(nn.Module):
    """A head whose weights are the average of another's: decay x average + (1 - decay) x weights.

    The first update copies; buffers are always copied. Its state dict is what a checkpoint needs.

    Args:
        decay: between 0 and 1; 0.99 averages over the last hundred steps or so.
    """

    def __init__(self, head: MaskHead, decay: float) -> None:
        super().__init__()
        self._model = AveragedModel(head, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def head(self) -> MaskHead:
        """The averaged head."""
        return cast(MaskHead, self._model.module)

    def update(self, head: MaskHead) -> None:
        """Count one more step's weights."""
        self._model.update_parameters(head)
