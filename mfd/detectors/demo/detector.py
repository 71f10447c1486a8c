"""The `demo` detector: a small deformable DETR for generated images, its weights in the package."""

import json
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.detectors.dino import DINO
from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError
from mfd.text import first_line

WEIGHTS = Path(__file__).with_name("demo.safetensors")


def demo_config(num_classes: int, extra_queries: int = 0) -> DeformableConfig:
    """The configuration: DINO's choices at widths small enough for a package.

    Args:
        num_classes: K, logit columns.
        extra_queries: for one-to-many matching while it is trained; not part of the weights that
            are kept.
    """
    return replace(
        DINO,
        dim=64,
        heads=4,
        encoder_layers=1,
        decoder_layers=3,
        feedforward=192,
        points=2,
        strides=(8, 16, 32),
        num_classes=num_classes,
        num_queries=60,
        extra_queries=extra_queries,
    )


def demo_network(num_classes: int, extra_queries: int = 0) -> DeformableDetr:
    """The detector's network with random weights; `DeformableDetr` says how to train it."""
    backbone = ResNet(stem=16, widths=(32, 64, 96, 120), depths=(1, 2, 2, 1), block="basic")
    return DeformableDetr(demo_config(num_classes, extra_queries), backbone)


def save_demo(network: DeformableDetr, spec: DetectorSpec, path: Path = WEIGHTS) -> None:
    """Write a trained network, without its extra queries, and what `load_demo` must know of it.

    Args:
        network: as `demo_network` made it.
        spec: all fields but `weights_digest` are kept.
        path: the safetensors file to write.
    """
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    content = state["decoder.content.weight"][: network.config.num_queries]
    state["decoder.content.weight"] = content.clone()
    save_file(state, path, metadata={"spec": json.dumps(spec.to_json())})


def load_demo(path: Path = WEIGHTS, encoder_layer: int | None = None) -> DeformableDetector:
    """The trained detector on the CPU; freezing it is the caller's part.

    Args:
        path: a file written by `save_demo`.
        encoder_layer: layer whose maps are returned (1-based); the spec's by default.

    Raises:
        DetectorError: if the file is absent or of another kind.
    """
    if not path.is_file():
        raise DetectorError(
            f"the demo detector's weights are absent: no file {path}; "
            "install mfd again, or train them with tools/train_demo_detector.py"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        spec = DetectorSpec.from_json(json.loads(metadata["spec"]))
        network = demo_network(len(spec.category_ids))
        network.load_state_dict(load_file(path))
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise DetectorError(
            f"{path} does not hold the demo detector ({first_line(error)}); "
            "train it again with tools/train_demo_detector.py"
        ) from error
    chosen = spec.encoder_layer if encoder_layer is None else encoder_layer
    return DeformableDetector(network, replace(spec, encoder_layer=chosen))
