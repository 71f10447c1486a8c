"""The whole network: padding, training outputs, and the detector made of it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mfd.detector import DetectorSpec
from mfd.errors import ConfigError, DetectorError
from mfd.extract.deformable import DINO, HDETR, DeformableConfig, DeformableDetector, DeformableDetr

SMALL = {
    "dim": 32,
    "heads": 4,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "feedforward": 40,
    "points": 2,
    "strides": (8, 16, 32),
    "num_classes": 5,
    "num_queries": 11,
}
FAMILIES = {"hdetr": replace(HDETR, **SMALL), "dino": replace(DINO, **SMALL)}


class Patches(nn.Module):
    """A backbone without context: a cell sees its own pixels only, so padding cannot leak."""

    c1_channels = 6
    channels = (6, 10)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 4, stride=4)
        self.second = nn.Conv2d(6, 6, 2, stride=2)
        self.third = nn.Conv2d(6, 10, 2, stride=2)

    def stage1(self, images: Tensor) -> Tensor:
        return self.first(images)

    def levels(self, c1: Tensor) -> list[Tensor]:
        second = self.second(c1)
        return [second, self.third(second)]

    @staticmethod
    def official_name(name: str) -> str:
        return name


def _network(config: DeformableConfig) -> DeformableDetr:
    torch.manual_seed(3)
    network = DeformableDetr(config, Patches())
    for name, parameter in network.named_parameters():  # untrained heads would all say the same
        if "head" in name or "sampling_offsets" in name:
            nn.init.normal_(parameter, std=0.3)
    return network.eval()


def _images(*sizes_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    height, width = (max(size[axis] for size in sizes_hw) for axis in (0, 1))
    images = torch.zeros(len(sizes_hw), 3, height, width)
    mask = torch.ones(len(sizes_hw), height, width, dtype=torch.bool)
    for number, (h, w) in enumerate(sizes_hw):
        images[number, :, :h, :w] = torch.randn(3, h, w)
        mask[number, :h, :w] = False
    return images, mask


@pytest.mark.parametrize("family", FAMILIES)
def test_extra_queries_do_not_change_the_others_in_training(family: str) -> None:
    config = replace(FAMILIES[family], extra_queries=7)
    network = _network(config)
    images, mask = _images((64, 96), (96, 64))
    evaluated = network(images, mask)
    trained = network.train()(images, mask)
    assert evaluated.boxes.shape == (3, 2, 11, 4)
    assert trained.boxes.shape == (3, 2, 18, 4)
    assert trained.boxes[:, :, :11].allclose(evaluated.boxes, atol=1e-5)
    assert trained.logits[:, :, :11].allclose(evaluated.logits, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_outputs_reach_every_parameter(family: str) -> None:
    network = _network(replace(FAMILIES[family], extra_queries=7)).train()
    found = network(*_images((64, 96), (96, 64)))
    assert found.selection.all_boxes is not None
    outputs = (found.boxes, found.logits, found.selection.logits, found.selection.all_boxes)
    sum(output.square().mean() for output in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layers_boxes_refine_the_boxes_before_it(family: str) -> None:
    network = _network(FAMILIES[family])
    for head in network.decoder.box_heads:
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
    found = network(*_images((64, 96)))
    start = found.selection.boxes.clamp(1e-3, 1 - 1e-3)
    assert found.boxes.clamp(1e-3, 1 - 1e-3).allclose(start.expand(3, -1, -1, -1), atol=1e-5)


def test_an_image_in_a_padded_batch_gives_what_it_gives_alone() -> None:
    # Not so for DINO, whose query positions are relative to the padded map, officially too.
    config = replace(FAMILIES["hdetr"], strides=(8, 16))  # extra levels see across the edge
    network = _network(config)
    images, mask = _images((64, 96), (96, 48))
    for projection in network.input_proj:
        projection[1] = nn.Identity()  # group norm counts padding, as it does officially
    batch = network(images, mask)
    for number, (height, width) in enumerate([(64, 96), (96, 48)]):
        single = slice(number, number + 1)
        alone = network(images[single, :, :height, :width], mask[single, :height, :width])
        assert alone.boxes.allclose(batch.boxes[:, single], atol=1e-5)
        assert alone.queries.allclose(batch.queries[:, single], atol=1e-4)


def _detector(family: str = "dino", **changes: object) -> DeformableDetector:
    config = replace(FAMILIES[family], **changes)
    spec = DetectorSpec(
        name="small",
        dim=32,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=(1, 2, 3, 5, 8),
        c1_channels=6,
        weights_digest="",
        encoder_layer=1,
    )
    return DeformableDetector(_network(config), spec).eval()


def test_the_detector_gives_what_the_contract_says() -> None:
    detector = _detector()
    images, mask = _images((72, 104), (88, 61))
    with torch.no_grad():
        out, c1 = detector(images, mask), detector.stage1(images, mask)
    assert out.queries.shape == (2, 11, 32)
    assert out.boxes.shape == (2, 11, 4)
    assert out.logits.shape == (2, 11, 5)
    assert [m.shape for m in out.memory] == [(2, 11, 13, 32), (2, 5, 6, 32), (2, 3, 3, 32)]
    assert out.c1.shape == (2, 22, 26, 6)
    assert out.c1.equal(c1)


def test_an_image_with_fewer_cells_than_queries_gives_all_queries() -> None:
    with torch.no_grad():
        out = _detector(num_queries=40)(*_images((17, 40)))
    assert out.boxes.shape == (1, 40, 4)
    assert out.boxes.isfinite().all()
    assert out.memory[0].shape[1] * out.memory[0].shape[2] >= 40


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function:DeprecationWarning")
def test_the_detector_compiles_as_one_graph() -> None:
    detector = _detector(encoder_layers=1, decoder_layers=1).requires_grad_(False)
    images, mask = _images((64, 96), (96, 64))
    compiled = torch.compile(detector, backend="eager", fullgraph=True)
    with torch.no_grad():
        found, expected = compiled(images, mask), detector(images, mask)
    assert found.boxes.allclose(expected.boxes, atol=1e-6)


def test_under_autocast_boxes_stay_float32_and_close() -> None:
    detector = _detector()
    images, mask = _images((64, 96), (96, 64))
    with torch.no_grad():
        exact = detector(images, mask)
        with torch.autocast("cpu", torch.bfloat16):
            rough = detector(images, mask)
    assert rough.boxes.dtype == rough.logits.dtype == torch.float32
    for ours, theirs in zip(rough.memory, exact.memory, strict=True):
        assert (ours - theirs).abs().max() < 0.1 * theirs.abs().max()


def test_an_encoder_layer_that_does_not_exist_is_refused() -> None:
    detector = _detector()
    with pytest.raises(DetectorError, match="small has no encoder layer 3; choose 1 to 2"):
        DeformableDetector(detector.network, replace(detector.spec, encoder_layer=3))


@pytest.mark.parametrize("changes", [{"dim": 48}, {"heads": 5}])
def test_widths_that_do_not_divide_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must divide"):
        replace(FAMILIES["dino"], **changes)
