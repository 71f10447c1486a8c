"""A Transformers model as a detector: its own outputs, and what hooks see of its modules."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.detectors.capture import capture_outputs, run_up_to
from mfd.detectors.contract import DetectorOutput
from mfd.detectors.hf.categories import categories
from mfd.detectors.hf.families import Family
from mfd.detectors.hf.heads import keep_heads_in_float32
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError
from mfd.images import Preprocessing
from mfd.text import first_line

_TRIAL_HW = (256, 256)


class TransformersDetector(nn.Module):
    """Queries, boxes, logits, encoder maps and the stage-1 map of a Transformers model.

    The stage-1 map is left out where none is finer than the encoder's maps. Boxes need no
    conversion: the families that mask padding place them relative to the image without it, and the
    others never see padding. Heads compute in float32 under autocast too. What the config leaves
    open, such as strides, is measured in one trial run on a blank image.

    Args:
        name: how `--detector` names it.
        model: `family.architecture`, in evaluation mode, on the CPU.
        preprocessing: with `size_hw` unless the family masks padding.
        encoder_layer: layer whose maps are returned (1-based); None: the family's.

    Raises:
        DetectorError: no such encoder layer, or the trial run fails.
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
        self._stage1 = _find_stage1(model, family)
        layers = len(model.model.encoder.layers) if family.sequence_encoder else 0
        layer = min(family.encoder_layer or layers, layers)
        layer = layer if encoder_layer is None else encoder_layer
        if encoder_layer is not None and not 1 <= layer <= layers:
            offered = f"its layers are 1 to {layers}" if layers else "it offers no choice"
            raise DetectorError(
                f"{name} has no encoder layer {layer} to take maps from, {offered}; "
                "give another one or leave it out"
            )
        self._encoder = family.encoder
        if layer != layers:
            self._encoder += f".layers.{layer - 1}"
        self.spec = self._measure(name, preprocessing, layer)

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput:
        """The model's output; without masks of its own it must get images of one size."""
        masks = {"pixel_mask": (~padding_mask).long()} if self.family.sequence_encoder else {}
        names = (self._stage1 and self._stage1[1], self._encoder, self.family.projections)
        with ExitStack() as hooks:
            stage1, encoded, projected = (
                hooks.enter_context(capture_outputs(*self._modules_of(name))) for name in names
            )
            output = self.model(pixel_values=images, **masks)
        return DetectorOutput(
            queries=output.last_hidden_state,
            boxes=output.pred_boxes,
            logits=output.logits,
            memory=self._memory(encoded[0], projected),
            c1=_image(stage1[0]).permute(0, 2, 3, 1) if stage1 else None,
        )

    def stage1(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> Float[Tensor, "B H4 W4 C"]:
        """The stage-1 map alone: the backbone runs up to it and no further."""
        assert self._stage1 is not None, "there is no stage-1 map; the spec says so"
        backbone, stage1 = self._stage1
        run, module = self.model.get_submodule(backbone), self.model.get_submodule(stage1)
        return _image(run_up_to(module, lambda: run(images))).permute(0, 2, 3, 1)

    def _modules_of(self, name: str | None) -> list[nn.Module]:
        """The module of this name, or those in it if it is a list; none without a name."""
        if name is None:
            return []
        module = self.model.get_submodule(name)
        return list(module) if isinstance(module, nn.ModuleList) else [module]

    def _memory(self, encoded: Any, projected: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps, channels last and as wide as the queries."""
        if not self.family.sequence_encoder:
            maps = _maps(encoded)
            if projected and maps[0].shape[1] != projected[0].shape[1]:
                maps = projected
            return [level.permute(0, 2, 3, 1) for level in maps]
        encoded = _first(encoded)
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
        strides = tuple(_stride(trial_hw, level) for level in output.memory)
        c1_stride, c1_channels = DetectorSpec.c1_stride, 0
        if output.c1 is not None and (found := _stride(trial_hw, output.c1)) < strides[0]:
            c1_stride, c1_channels = found, output.c1.shape[3]
        else:
            self._stage1 = None
        softmax = self.family.scores == "softmax"
        num_queries = output.queries.shape[1]
        columns, labels = output.logits.shape[2] - softmax, self.model.config.id2label
        category_ids, category_names = categories(columns, labels)
        return DetectorSpec(
            name=name,
            dim=output.queries.shape[2],
            strides=strides,
            num_queries=num_queries,
            category_ids=category_ids,
            category_names=category_names,
            c1_channels=c1_channels,
            preprocessing=preprocessing,
            scores=self.family.scores,
            encoder_layer=layer,
            c1_stride=c1_stride,
            code_version=self.family.code_version,
            max_detections=self.family.max_detections or num_queries,
        )


def _find_stage1(model: Any, family: Family) -> tuple[str, str] | None:
    """Names of the backbone and of its first stage; None if there is none that mfd knows."""
    names = {name for name, _ in model.named_modules()}
    for backbone in family.backbones:
        for stage in family.stage1:
            if (found := f"{backbone}.{stage}") in names:
                return backbone, found
    return None


def _first(output: Any) -> Any:
    """What a module returns, or the first of the things it returns, however deep."""
    return output if isinstance(output, Tensor) else _first(output[0])


def _image(output: Any) -> Tensor:
    """The map that a module returns, or the first map beside sequences and the like."""
    outputs = [output] if isinstance(output, Tensor) else output
    return next(value for value in outputs if value.ndim == 4)


def _maps(output: Any) -> Sequence[Tensor]:
    """The maps that a module returns: one, a list of them, or such a list with more beside it."""
    if isinstance(output, Tensor):
        return [output]
    return output if isinstance(output[0], Tensor) else output[0]


def _stride(size_hw: tuple[int, int], level: Float[Tensor, "B H W D"]) -> int:
    """Input pixels per row of the map: a power of two if one fits, else what divides the rows."""
    rows = level.shape[1]
    power = int(2 ** round(math.log2(size_hw[0] / rows)))
    fits = rows in (size_hw[0] // power, -(-size_hw[0] // power))
    return power if fits else round(size_hw[0] / rows)
