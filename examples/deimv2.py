"""DEIMv2 as a custom detector: `--detector examples/deimv2.py:detector --weights FOLDER`.

The worked example of what `mfd` asks for: a function that returns a module with a `spec` and a
call that gives `DetectorOutput`. The folder holds a DEIMv2 checkpoint with an HGNetv2 backbone in
Transformers' format (config.json and model.safetensors).
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import Deimv2ForObjectDetection
from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP

from mfd.coco import COCO_IDS, COCO_NAMES
from mfd.detectors import (
    DetectorOutput,
    DetectorSpec,
    Preprocessing,
    capture_outputs,
    quiet_transformers,
    weights_digest,
)
from mfd.errors import DetectorError

STRIDES = (16, 32)
FILES = ("config.json", "model.safetensors")


def detector(weights: str | Path | None = None) -> "Deimv2":
    """The detector of a checkpoint folder; `mfd` freezes it."""
    expected = f"a folder with {' and '.join(FILES)}"
    if weights is None:
        raise DetectorError(f"no weights are given; give {expected} by --weights or in mfd.toml")
    folder = Path(weights)
    if absent := [name for name in FILES if not (folder / name).is_file()]:
        raise DetectorError(f"{folder} has no {absent[0]}; give {expected} as weights")
    with quiet_transformers():
        model, loading = Deimv2ForObjectDetection.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
    if wrong := [*loading["missing_keys"], *loading["unexpected_keys"]]:
        raise DetectorError(f"{folder} is not a DEIMv2: {wrong[0]!r} is missing or unexpected")
    restore_original(model)
    return Deimv2(model, size=416)


class Deimv2(nn.Module):
    """Queries, boxes, logits, encoder maps and the stage-1 map of a Transformers DEIMv2."""

    def __init__(self, model: Deimv2ForObjectDetection, size: int) -> None:
        """Args: size: height and width that images are resized to; the aspect is not kept."""
        super().__init__()
        self.model = model
        self.backbone = model.model.conv_encoder.model
        self.spec = DetectorSpec(
            name="deimv2-femto",
            dim=model.config.d_model,
            strides=STRIDES,
            num_queries=model.config.num_queries,
            category_ids=COCO_IDS,
            category_names=tuple(COCO_NAMES.values()),
            c1_channels=model.config.backbone_config.stage_out_channels[0],
            weights_digest=weights_digest(self),
            preprocessing=Preprocessing(
                size_hw=(size, size), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
            ),
            # As Transformers' post-processing: as many (query, category) pairs as queries.
            max_detections=model.config.num_queries,
        )

    def forward(self, images: Tensor, padding_mask: Tensor) -> DetectorOutput:
        """Images of one fixed size are never padded, so the mask says nothing."""
        with capture_outputs(self.backbone.encoder.stages[0]) as stage1:
            output = self.model(pixel_values=images)
        return DetectorOutput(
            queries=output.last_hidden_state,
            boxes=output.pred_boxes,
            logits=output.logits,
            memory=[level.permute(0, 2, 3, 1) for level in output.encoder_last_hidden_state],
            c1=stage1[0].permute(0, 2, 3, 1),
        )

    def stage1(self, images: Tensor, padding_mask: Tensor) -> Tensor:
        """The stage-1 map alone, by the backbone's stem and first stage."""
        c1: Tensor = self.backbone.encoder.stages[0](self.backbone.embedder(images))
        return c1.permute(0, 2, 3, 1)


def restore_original(model: Deimv2ForObjectDetection) -> None:
    """Make Transformers 5.23 compute what DEIMv2 was trained as; box AP is 0.04 without it.

    Its modelling differs from the published network in three places.
    """
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
