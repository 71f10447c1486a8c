"""Tiny versions of the detectors that are exported whole, by a process of its own.

    python -m tests.export.families NAME ...

NAME is FAMILY-BACKBONE of our own (hdetr-swin), one of Transformers' (`hf:rt-detr`), or a backbone
alone (`swin`); `onnx:` before it writes it as ONNX too. For each, prints its name, and the largest
difference from PyTorch or why it cannot be exported. Under pytest the checks of shapes turn open
sizes into constants.
"""

import math
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mfd.demo import random_scene
from mfd.detectors import Detector, DetectorSpec, freeze, load_detector
from mfd.detectors.backbones.focalnet import FocalNet
from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.backbones.swin import Swin
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.errors import ExportError
from mfd.export.check import check_agreement
from mfd.export.onnx import run_onnx, to_onnx
from mfd.export.parts import Part, image_part
from mfd.export.program import run_bytes, to_bytes, to_program
from mfd.headtrain import HeadConfig, MaskHead
from mfd.images import Preprocessing, prepare_image
from tests.builders.batches import randomise
from tests.builders.deformable import FAMILIES
from tests.detectors.hf import tiny_models

BACKBONES = {
    "resnet": lambda: ResNet(stem=8, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), block="basic"),
    "swin": lambda: Swin(embed_dim=8, depths=(2, 1, 1, 1), heads=(1, 2, 4, 8), window=3),
    "focalnet": lambda: FocalNet(embed_dim=8, depths=(1, 1, 1, 1), focal_levels=2),
}
SIDES = {"swin": (64, 96, 131, 67, 99), "focalnet": (64, 96, 160)}
"""Of images for backbones alone, pixels. Swin's are odd, some with full windows alone.

Transformers' FocalNet asks whether a side is odd, and so is exported for multiples of 32 alone.
"""
HEAD = HeadConfig(
    roi_size=8, num_heads=2, box_dim=8, image_layers=1, box_layers=0, query_ffn=False,
    query_b2o=False, neck=True,
)  # fmt: skip


class Maps(nn.Module):
    """All maps of a backbone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        c1 = self.backbone.stage1(images)
        return (c1, *self.backbone.levels(c1))


def backbone_part(name: str) -> Part:
    """A tiny backbone, and images of several sizes."""
    torch.manual_seed(5)
    maps = Maps(BACKBONES[name]()).eval()
    for parameter in maps.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 1.0, 0.3)
    sides = SIDES[name]
    images = [torch.randn(1, 3, *size_hw) for size_hw in product(sides, sides)]
    example = torch.randn(2, 3, 160, 224)
    return Part(
        name=name,
        module=maps,
        outputs=("c1", *(f"level_{number}" for number in range(len(maps(images[0])) - 1))),
        inputs={"images": ("images", None, "height", "width")},
        bounds={"height": 64, "width": 64},
        example=(example,),
        samples=[(each,) for each in images],
        step=math.gcd(*sides),
    )


def detector(name: str) -> Detector:
    """A tiny detector whose random heads tell tokens and queries apart."""
    torch.manual_seed(5)
    if name.startswith("hf:"):
        name = name.removeprefix("hf:")
        with tempfile.TemporaryDirectory() as folder:
            saved = tiny_models.save(name, Path(folder))
            return load_detector(saved, prompts=tiny_models.PROMPTED.get(name, ()))
    family, _, backbone = name.partition("-")
    made = BACKBONES[backbone]()
    config = replace(FAMILIES[family], encoder_layers=1, decoder_layers=1)
    network = DeformableDetr(config, made)
    for name, parameter in network.named_parameters():
        if "head" in name or "sampling_offsets" in name:
            nn.init.normal_(parameter, std=0.3)
    spec = DetectorSpec(
        name=f"{family}-{backbone}",
        dim=config.dim,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=(1, 2, 3, 5, 8),
        c1_channels=made.c1_channels,
        weights_digest="",
        encoder_layer=1,
        preprocessing=Preprocessing(64, 128),
    )
    return freeze(DeformableDetector(network, spec))


def detector_part(made: Detector) -> Part:
    """A detector with a head, and two pictures."""
    random = np.random.default_rng(1)
    scenes = [Image.fromarray(random_scene(random).image) for _ in range(2)]
    images = [prepare_image(scene, made.spec.preprocessing) for scene in scenes]
    with_c1 = made.spec.c1_channels > 0
    config = replace(HEAD, use_c1=with_c1, neck=with_c1)
    return image_part(made, randomise(MaskHead(config, made.spec)).eval(), images)


def difference(name: str, *, onnx: bool) -> float:
    """The largest difference of the exported program, or ONNX file, from PyTorch."""
    part = backbone_part(name) if name in BACKBONES else detector_part(detector(name))
    program = to_program(part)
    if onnx:
        return check_agreement(part, run_onnx(to_onnx(part, program, {})))
    return check_agreement(part, run_bytes(to_bytes(program, {})))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for argument in sys.argv[1:]:
        try:
            answer = f"{difference(argument.removeprefix('onnx:'), onnx='onnx:' in argument):.1e}"
        except ExportError as error:
            answer = str(error)
        sys.stdout.write(f"{argument} {answer}\n")
        sys.stdout.flush()
