"""A detector whose parameters are trained along with the head's."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mfd.config import Precision
from mfd.detectors import (
    FAMILIES,
    DeformableDetector,
    Detector,
    ImageFeatures,
    autocast_context,
    device_of,
    padding_step,
    split_images,
)
from mfd.errors import ConfigError
from mfd.headtrain.config.train import Finetune
from mfd.headtrain.finetune.losses import DetectionTruth, detection_loss, supervised_layers
from mfd.images import LoadedImage, collate_images, equal_sizes, padded_size

LR_FACTOR = 0.1
"""Learning rate of the detector's parameters per that of the head's. [paper, table 16]"""

MAX_GRAD_NORM = 0.1
"""Of the detector's own gradient, clipped apart from the head's. [Deformable DETR's]"""

_TRANSFORMER = ("encoder", "decoder", "proposals", "level_embed")


class TunedDetector:
    """A deformable DETR in training; batch normalisation stays as it is.

    It has no dropout, and stays in evaluation mode: that freezes the statistics of its batch
    normalisation, and leaves out the queries that H-DETR adds for one-to-many matching.

    Attributes:
        module: the detector itself.

    Args:
        detector: as loaded; its parameters are set to require gradients, or not.
        part: "transformer": encoder, proposals, decoder and their heads; "all": the backbone and
            its projections too.

    Raises:
        ConfigError: a detector of another kind, whose losses mfd does not have.
    """

    def __init__(self, detector: Detector, part: Finetune) -> None:
        if not isinstance(detector, DeformableDetector):
            families = ", ".join(FAMILIES)
            raise ConfigError(
                f"finetune={part} covers hdetr-*, dino-*, demo and custom detectors made of the "
                f"same network, found {detector.spec.name}; no hf: family ({families}) and no "
                "other custom detector is covered: train it by its own code, then use finetune=none"
            )
        self.module, self._spec = detector, detector.spec
        network = detector.network
        for name, parameter in network.named_parameters():
            chosen = part == "all" or name.partition(".")[0] in _TRANSFORMER
            parameter.requires_grad_(chosen)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        # the only part with a train mode of its own: it then proposes a box on every token
        network.proposals.train(network.config.token_score == "class_0")

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those that are trained."""
        return (p for p in self.module.parameters() if p.requires_grad)

    def detect(
        self,
        images: Sequence[LoadedImage],
        image_ids: Sequence[int],
        truths: Sequence[DetectionTruth],
        *,
        precision: Precision,
        with_c1: bool,
    ) -> tuple[list[ImageFeatures], Tensor]:
        """What `mfd.detectors.detect_all` gives, with gradients; and `detection_loss`.

        Boxes carry no gradient to the head: masks do not move them.

        Args:
            images: one at least; those of one padded size pass together.
        """
        device, step = device_of(self.module), padding_step(self._spec)
        sizes = [padded_size(image.input_hw, step) for image in images]
        features: dict[int, ImageFeatures] = {}
        losses = []
        for group in equal_sizes(sizes, len(images)):
            chosen, ids = [images[i] for i in group], [image_ids[i] for i in group]
            batch, padding_mask = collate_images([image.pixels for image in chosen], step)
            with autocast_context(device, precision):
                pixels = batch.to(device, memory_format=torch.channels_last)
                found, output = self.module.run(pixels, padding_mask.to(device))
            layers = supervised_layers(found, self.module.network.config)
            losses.append(detection_loss(layers, [truths[i] for i in group], self._spec))
            output.boxes = output.boxes.detach()
            split = split_images(output, self._spec, chosen, ids, padding_mask, with_c1=with_c1)
            features |= zip(group, split, strict=True)
        return [features[i] for i in range(len(images))], torch.stack(losses).sum()
