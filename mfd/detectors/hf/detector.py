"""A Transformers model as a detector: its own outputs, and what hooks see of its modules."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.detectors.capture import capture_outputs
from mfd.detectors.contract import DetectorOutput, DetectorSpec
from mfd.detectors.hf.categories import category_ids, category_names
from mfd.detectors.hf.families import Family
from mfd.detectors.hf.heads import keep_heads_in_float32
from mfd.errors import DetectorError
from mfd.images import Preprocessing
from mfd.text import first_line

_C1_STRIDE = 4
_TRIAL_HW = (256, 256)


class TransformersDetector(nn.Module):
    """Queries, boxes, logits, encoder maps and the stage-1 map of a Transformers model.

    Boxes need no conversion: the families that mask padding place them relative to the image
    without it, and the others never see padding. Heads compute in float32 under autocast too. What
    the config leaves open, such as strides, is measured in one trial run on a blank image.

    Args:
        name: how `--detector` names it.
        model: `family.architecture`, in evaluation mode, on the CPU.
        preprocessing: with `size_hw` unless the family masks padding.
        encoder_layer: layer whose maps are returned (1-based); None: the last.

    Raises:
        DetectorError: no such encoder layer, no stage-1 map, or the trial run fails.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        family: Family,
        preprocessing: Preprocessing,
        encoder_layer: int | None = None,
    ) -> None:
        super().__init__()
        keep_heads_in_float32(model, family.heads)
        self.model = model
        self.family = family
        self._stage1 = _find_stage1(name, model, family)
        layers = len(model.model.encoder.layers) if family.sequence_encoder else 0
        layer = layers if encoder_layer is None else encoder_layer
        if encoder_layer is not None and not 1 <= layer <= layers:
            offered = f"its layers are 1 to {layers}" if layers else "it offers no choice"
            raise DetectorError(
                f"{name} has no encoder layer {layer} to take maps from, {offered}; "
                "give another one or leave it out"
            )
        self._encoder = "model.encoder" if layer == layers else f"model.encoder.layers.{layer - 1}"
        self.spec = self._measure(name, preprocessing, layer)

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput:
        """The model's output; without masks of its own it must get images of one size."""
        masks = {"pixel_mask": (~padding_mask).long()} if self.family.sequence_encoder else {}
        with ExitStack() as hooks:
            stage1, encoded, projected = (
                hooks.enter_context(capture_outputs(*self._modules_of(name)))
                for name in (self._stage1, self._encoder, self.family.projections)
            )
            output = self.model(pixel_values=images, **masks)
        return DetectorOutput(
            queries=output.last_hidden_state,
            boxes=output.pred_boxes,
            logits=output.logits,
            memory=self._memory(_first(encoded[0]), projected),
            c1=stage1[0].permute(0, 2, 3, 1),
        )

    def stage1(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H4 W4 C"]:
        """The stage-1 map alone: the backbone runs up to it and no further."""

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            raise _Reached(_first(output))

        with self.model.get_submodule(self._stage1).register_forward_hook(leave):
            try:
                self.model.get_submodule(self.family.backbone)(images)
            except _Reached as reached:
                return reached.features.permute(0, 2, 3, 1)
        raise AssertionError("the backbone ran without its first stage")

    def _modules_of(self, name: str) -> list[nn.Module]:
        """The module of this name, or those in it if it is a list."""
        module = self.model.get_submodule(name)
        return list(module) if isinstance(module, nn.ModuleList) else [module]

    def _memory(self, encoded: Any, projected: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps, channels last and as wide as the queries."""
        if not self.family.sequence_encoder:
            maps = encoded if encoded[0].shape[1] == projected[0].shape[1] else projected
            return [level.permute(0, 2, 3, 1) for level in maps]
        sizes = [(level.shape[2], level.shape[3]) for level in projected]
        parts = encoded.split([h * w for h, w in sizes], 1)
        return [part.unflatten(1, size) for part, size in zip(parts, sizes, strict=True)]

    def _measure(self, name: str, preprocessing: Preprocessing, layer: int) -> DetectorSpec:
        """The spec that a run on a blank image tells."""
        trial_hw = preprocessing.size_hw or _TRIAL_HW
        try:
            with torch.no_grad():
                output = self(
                    torch.zeros(1, 3, *trial_hw), torch.zeros(1, *trial_hw, dtype=torch.bool)
                )
        except RuntimeError as error:
            raise DetectorError(
                f"{name} does not run on an image of {trial_hw}: {first_line(error)}; check its "
                "config.json and preprocessor_config.json"
            ) from error
        c1_stride = _stride(trial_hw, output.c1)
        if c1_stride != _C1_STRIDE:
            raise DetectorError(
                f"the first stage of {name} has stride {c1_stride}, expected {_C1_STRIDE}; mfd "
                "needs a stage-1 map at stride 4"
            )
        softmax = self.family.scores == "softmax"
        num_queries = output.queries.shape[1]
        columns, labels = output.logits.shape[2] - softmax, self.model.config.id2label
        return DetectorSpec(
            name=name,
            dim=output.queries.shape[2],
            strides=tuple(_stride(trial_hw, level) for level in output.memory),
            num_queries=num_queries,
            category_ids=category_ids(columns, labels),
            category_names=category_names(columns, labels),
            c1_channels=output.c1.shape[3],
            weights_digest="",
            preprocessing=preprocessing,
            scores=self.family.scores,
            encoder_layer=layer,
            max_detections=self.family.max_detections or num_queries,
        )


class _Reached(Exception):  # noqa: N818  no error: it ends the backbone's run early
    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def _find_stage1(name: str, model: Any, family: Family) -> str:
    """Name of the backbone's first stage."""
    names = {module_name for module_name, _ in model.named_modules()}
    for candidate in family.stage1:
        if (found := f"{family.backbone}.{candidate}") in names:
            return found
    kind = getattr(model.config.backbone_config, "model_type", "unknown")
    raise DetectorError(
        f"{name} has a backbone of type {kind!r} without a first stage that mfd knows, expected "
        "one like ResNet or HGNetV2 with a map at stride 4; provide a custom detector "
        "(path/to/file.py:function) for it"
    )


def _first(output: Any) -> Any:
    """What a module returns, or the first of the things it returns."""
    return output if isinstance(output, Tensor) else output[0]


def _stride(size_hw: tuple[int, int], level: Float[Tensor, "B H W D"]) -> int:
    """Input pixels per row of the map; backbones halve, so it is a power of two."""
    return int(2 ** round(math.log2(size_hw[0] / level.shape[1])))
