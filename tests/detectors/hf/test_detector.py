"""Transformers' models as detectors: every number is the model's own, padding or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from mfd.detectors import load_detector
from mfd.detectors.check import check_output
from mfd.detectors.features import valid_sizes
from mfd.errors import DetectorError
from mfd.images import collate_images
from tests.detectors.hf.tiny_models import HYBRID, MODELS, SEQUENCE, build, run, save

Loaded = Callable[[str], tuple[Any, Any]]


def load(name: str, folder: Path, model: Any = None, **options: Any) -> Any:
    return load_detector(save(name, folder, model=model), **options)


def images(name: str) -> list[Tensor]:
    """Two of one size for families that need it, else two that pad each other."""
    sizes = [(96, 128), (96, 128)] if name in HYBRID else [(128, 149), (71, 192)]
    return [torch.randn(3, *size) for size in sizes]


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """Equal up to float32's error, relative to the largest value."""
    assert found.shape == wanted.shape
    scale = wanted.abs().max().item()
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_the_models_own_for_one_image_and_for_a_batch(
    name: str, loaded: Loaded
) -> None:
    model, detector = loaded(name)
    pair = images(name)
    for batch, padding_mask in (collate_images(pair[:1]), collate_images(pair)):
        found = detector(batch, padding_mask)
        check_output(found, detector.spec, tuple(padding_mask.shape))
        wanted = run(name, model, batch, padding_mask)
        close(found.queries, wanted.last_hidden_state)
        close(found.boxes, wanted.pred_boxes)
        close(found.logits, wanted.logits)
        if name == "rt-detr-wide-encoder":  # the only one whose encoder has a width of its own
            assert all(level.shape[3] == detector.spec.dim for level in found.memory)
        elif name in HYBRID:
            for level, own in zip(found.memory, wanted.encoder_last_hidden_state, strict=True):
                close(level, own.permute(0, 2, 3, 1))
        else:
            sequence = torch.cat([level.flatten(1, 2) for level in found.memory], 1)
            close(sequence, wanted.encoder_last_hidden_state)


@pytest.mark.parametrize("name", SEQUENCE)
def test_an_image_in_a_padded_batch_is_as_if_alone(name: str, tmp_path: Path) -> None:
    model = build(name)
    keep_pixels_apart(model)
    detector = load(name, tmp_path, model)
    for module in detector.modules():
        if isinstance(module, nn.GroupNorm):  # its statistics include padding, by design
            module.forward = lambda maps: maps
    pair = images(name)
    batch, padding_mask = collate_images(pair)
    both = detector(batch, padding_mask)
    for row, image in enumerate(pair):
        alone = detector(*collate_images([image]))
        close(both.queries[row], alone.queries[0], 1e-4)
        close(both.boxes[row], alone.boxes[0], 1e-4)
        close(both.logits[row], alone.logits[0], 1e-4)
        for level, own in zip((*both.memory, both.c1), (*alone.memory, alone.c1), strict=True):
            height, width = valid_sizes(padding_mask, level)[row]
            close(level[row, :height, :width], own[0], 1e-4)


def keep_pixels_apart(model: Any) -> None:
    """Every convolution sees its central pixel only: none looks over an image's edge."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and (size := module.kernel_size[0]) > 1:
            middle = module.weight[:, :, size // 2, size // 2].detach().clone()
            with torch.no_grad():
                module.weight.zero_()
                module.weight[:, :, size // 2, size // 2] = size * middle


@pytest.mark.parametrize("name", MODELS)
def test_strides_and_stage1_are_those_of_the_maps(name: str, loaded: Loaded) -> None:
    _, detector = loaded(name)
    spec, (batch, padding_mask) = detector.spec, collate_images(images(name))
    height, width = batch.shape[2:]
    found = detector(batch, padding_mask)
    for stride, level in zip(spec.strides, found.memory, strict=True):
        assert level.shape[1:3] == (-(-height // stride), -(-width // stride))
    assert found.c1.shape[1:] == (height // 4, width // 4, spec.c1_channels)
    # the first stage's own output, by Transformers' own naming of hidden states
    backbone = detector.model.get_submodule(detector.family.backbone)
    with torch.no_grad():
        stages = backbone(batch, output_hidden_states=True).hidden_states
    assert torch.equal(found.c1, stages[1].permute(0, 2, 3, 1))
    assert torch.equal(detector.stage1(batch, padding_mask), found.c1)


@pytest.mark.parametrize("name", ["detr", "dab-detr", "deformable-detr-two-stage"])
def test_maps_of_an_earlier_encoder_layer_can_be_chosen(name: str, tmp_path: Path) -> None:
    model = build(name)
    first, last = (load(name, tmp_path, model, encoder_layer=layer) for layer in (1, 2))
    assert (first.spec.encoder_layer, last.spec.encoder_layer) == (1, 2)
    assert load(name, tmp_path, model).spec == last.spec
    batch, padding_mask = collate_images(images(name))
    wanted = run(name, model, batch, padding_mask).encoder_hidden_states
    for detector, states in ((first, wanted[1]), (last, wanted[2])):
        maps = detector(batch, padding_mask).memory
        close(torch.cat([level.flatten(1, 2) for level in maps], 1), states)


def test_an_encoder_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no encoder layer 3 .* its layers are 1 to 2"):
        load("detr", tmp_path, encoder_layer=3)
    with pytest.raises(DetectorError, match=r"no encoder layer 1 .* it offers no choice"):
        load("rt-detr", tmp_path, encoder_layer=1)


def test_scores_and_number_of_detections_are_the_familys(tmp_path: Path) -> None:
    wanted = {
        "detr": ("softmax", 11, 6),
        "conditional-detr": ("sigmoid", 100, 5),
        "dab-detr": ("sigmoid", 300, 5),
        "deformable-detr": ("sigmoid", 100, 5),
        "d-fine": ("sigmoid", 11, 5),
    }
    for name, (scores, max_detections, num_logits) in wanted.items():
        spec = load(name, tmp_path / name).spec
        found = (spec.scores, spec.max_detections, spec.num_logits)
        assert found == (scores, max_detections, num_logits)
        assert spec.category_ids == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("backbone", "problem"),
    [
        (
            transformers.SwinConfig(
                embed_dim=8, depths=[1, 1], num_heads=[1, 1], out_features=["stage2"]
            ),
            "backbone of type 'swin' without a first stage that mfd knows",
        ),
        (
            transformers.ResNetConfig(
                embedding_size=8,
                hidden_sizes=[8, 8],
                depths=[1, 1],
                layer_type="basic",
                downsample_in_first_stage=True,
                out_features=["stage2"],
            ),
            "the first stage of .* has stride 8, expected 4",
        ),
    ],
)
def test_a_backbone_without_a_map_at_stride_4_is_refused(
    backbone: Any, problem: str, tmp_path: Path
) -> None:
    config = transformers.DetrConfig(backbone_config=backbone, **MODELS["detr"][1])
    model = transformers.DetrForObjectDetection(config)
    with pytest.raises(DetectorError, match=problem):
        load("detr", tmp_path, model)
