"""DEIMv2 as a custom detector: `--detector examples/deimv2.py:detector --weights FOLDER`.

The worked example of what `mfd` asks for: a function that returns a module with a `spec` and a
call that gives `DetectorOutput`. The folder holds a DEIMv2 checkpoint with an HGNetv2 backbone in
Transformers' format (config.json and model.safetensors); `--detector hf:FOLDER` computes the same.
"""

from pathlib import Path

from torch import Tensor, nn
from transformers import Deimv2ForObjectDetection

from mfd.coco import COCO_IDS, COCO_NAMES
from mfd.detectors import (
    DetectorOutput,
    DetectorSpec,
    Preprocessing,
    capture_outputs,
    quiet_transformers,
    restore_deimv2,
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
    restore_deimv2(model)  # else it computes something else than it was trained as
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
            preprocessing=Preprocessing(
                size_hw=(size, size), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
            ),
            # as Transformers' post-processing: as many (query, category) pairs as queries
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
