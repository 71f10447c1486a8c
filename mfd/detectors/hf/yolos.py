"""YOLOS (arXiv:2106.00666): a plain ViT whose queries are tokens beside those of the image."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from mfd.detectors.contract import DetectorOutput
from mfd.detectors.hf.categories import categories
from mfd.detectors.hf.families import Family
from mfd.detectors.hf.heads import keep_heads_in_float32
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError
from mfd.images import Preprocessing


class YolosDetector(nn.Module):
    """Queries, boxes and logits of a YOLOS; its last tokens of the image are the one map.

    It cannot mask padding and reads images of any size, so each image of a batch runs alone,
    without its padding, as the model was evaluated. Sides are made multiples of its patches. There
    is no finer map than the tokens'.

    Args:
        name: how `--detector` names it.
        model: YolosForObjectDetection, in evaluation mode, on the CPU.
        encoder_layer: must be None, since tokens and queries are one sequence in all layers.
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
        if encoder_layer is not None:
            raise DetectorError(
                f"{name} has no encoder layer {encoder_layer} to take maps from, it offers no "
                "choice; leave it out"
            )
        keep_heads_in_float32(model, family.heads)
        self.model = model
        config = model.config
        self.num_queries, self.patch = config.num_detection_tokens, config.patch_size
        category_ids, category_names = categories(config.num_labels, config.id2label)
        self.spec = DetectorSpec(
            name=name,
            dim=config.hidden_size,
            strides=(self.patch,),
            num_queries=self.num_queries,
            category_ids=category_ids,
            category_names=category_names,
            c1_channels=0,
            preprocessing=replace(preprocessing, multiple_of=self.patch),
            scores=family.scores,
            max_detections=family.max_detections or self.num_queries,
        )

    def forward(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput:
        """The model's output for each image without its padding, the maps padded with zeros."""
        rows, columns = (images.shape[2] // self.patch, images.shape[3] // self.patch)
        heights = (~padding_mask[:, :, 0]).sum(1).tolist()
        widths = (~padding_mask[:, 0]).sum(1).tolist()
        outputs, maps = [], []
        for image, height, width in zip(images, heights, widths, strict=True):
            output = self.model(pixel_values=image[None, :, :height, :width])
            outputs.append(output)
            tokens = output.last_hidden_state[:, 1 : -self.num_queries]  # the first is for a class
            own = tokens.unflatten(1, (height // self.patch, width // self.patch))
            room = (0, 0, 0, columns - own.shape[2], 0, rows - own.shape[1])
            maps.append(pad(own, room))
        return DetectorOutput(
            queries=torch.cat([o.last_hidden_state[:, -self.num_queries :] for o in outputs]),
            boxes=torch.cat([output.pred_boxes for output in outputs]),
            logits=torch.cat([output.logits for output in outputs]),
            memory=[torch.cat(maps)],
        )
