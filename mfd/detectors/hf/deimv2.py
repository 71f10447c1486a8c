"""DEIMv2 as its published weights were trained; Transformers computes something else."""

from typing import Any

from torch import Tensor, nn


def restore_deimv2(model: Any) -> int:
    """Make Transformers 5.23 compute what DEIMv2 was trained as; box AP is 0.04 without it.

    Its modelling differs from the published network in three places, and in two more on DINOv3.

    Returns:
        the `code_version` of `DetectorSpec`: of sizes with an attending encoder it is one more.
    """
    from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP  # imports take seconds

    # The encoder's heads read its maps directly; Transformers puts untrained layers between them.
    model.model.enc_output = nn.Identity()
    # MLPs are activated by SiLU, the encoder's by GELU as Transformers has it; the others without
    # a setting for it have ReLU there.
    for name, module in model.named_modules():
        if isinstance(module, Deimv2MLP) and not name.startswith("model.encoder."):
            module.act = nn.SiLU()
    if model.config.backbone_config.model_type == "dinov3_vit":
        _restore_vit(model.model.conv_encoder.backbone)
    # Queries' positions come from the initial boxes once; Transformers updates them in each layer.
    decoder = model.model.decoder
    decoder.query_pos_head = FirstResult(decoder.query_pos_head)
    decoder.register_forward_pre_hook(lambda module, inputs: module.query_pos_head.forget())
    return 2 if model.config.encoder_type == "lite" else 3


def _restore_vit(backbone: Any) -> None:
    if not backbone.config.apply_layernorm:  # then there is none behind the last layer either
        backbone.norm = nn.Identity()
    if backbone.config.use_gated_mlp:  # DINOv3's are SwiGLU; configs of DEIMv2 leave that out
        for layer in backbone.model.layer:
            layer.mlp.act_fn = nn.SiLU()


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
