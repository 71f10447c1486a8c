"""DEIMv2 as its published weights were trained; Transformers computes something else."""

from typing import Any

from torch import Tensor, nn


def restore_deimv2(model: Any) -> None:
    """Make Transformers 5.23 compute what DEIMv2 was trained as; box AP is 0.04 without it.

    Its modelling differs from the published network in three places.
    """
    from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP  # imports take seconds

    # The encoder's heads read its maps directly; Transformers puts untrained layers between them.
    model.model.enc_output = nn.Identity()
    # Every MLP is activated by SiLU; Transformers has ReLU in those without a setting for it.
    for module in model.modules():
        if isinstance(module, Deimv2MLP):
            module.act = nn.SiLU()
    # Queries' positions come from the initial boxes once; Transformers updates them in each layer.
    decoder = model.model.decoder
    decoder.query_pos_head = FirstResult(decoder.query_pos_head)
    decoder.register_forward_pre_hook(lambda module, inputs: module.query_pos_head.forget())


class FirstResult(nn.Module):
    """A module whose result for the first input stands until `forget`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._result: Any = None

    def forward(self, value: Tensor) -> Tensor:
        """The result for the first value since `forget`."""
        if self._result is None:
            self._result = self.module(value)
        result: Tensor = self._result
        return result

    def forget(self) -> None:
        """Compute again at the next call."""
        self._result = None
