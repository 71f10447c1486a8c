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
from mfd.detectors.padding import valid_sizes
from mfd.errors import DetectorError
from mfd.images import collate_images
from tests.detectors.hf.tiny_models import (
    MODELS,
    PROMPTED,
    SEQUENCE,
    SIZES,
    WINDOWED,
    WITHOUT_C1,
    build,
    encoder_maps,
    run,
    save,
)

Loaded = Callable[[str], tuple[Any, Any]]


def load(name: str, folder: Path, model: Any = None, **options: Any) -> Any:
    return load_detector(save(name, folder, model=model), prompts=PROMPTED.get(name, ()), **options)


def images(name: str) -> list[Tensor]:
    """Two of one size for families that need it, else two that pad each other."""
    sizes = [SIZES[name]] * 2 if name in SIZES else [(128, 149), (71, 192)]
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
            continue
        maps = encoder_maps(name, model, batch, wanted)
        if name in SEQUENCE:
            maps, found.memory = maps, [torch.cat([m.flatten(1, 2) for m in found.memory], 1)]
        for level, own in zip(found.memory, maps, strict=True):
            close(level, own)


@pytest.mark.parametrize("name", [name for name in SEQUENCE if name not in WINDOWED])
def test_an_image_in_a_padded_batch_is_as_if_alone(name: str, tmp_path: Path) -> None:
    model = build(name)
    keep_pixels_apart(model)
    keep_proposals_off_padding(model)
    detector = load(name, tmp_path, model)
    for module in detector.modules():
        if isinstance(module, nn.GroupNorm):  # its statistics include padding, by design
            module.forward = lambda maps: maps
    if name in PROMPTED:  # as in DINO, queries' positions count from the padded image, by design
        detector.model.model.decoder.reference_points_head.forward = _nowhere
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


def _nowhere(position: Tensor) -> Tensor:
    """The same embedding, half as wide, for every position."""
    return torch.zeros_like(position[..., : position.shape[-1] // 2])


def keep_pixels_apart(model: Any) -> None:
    """Every convolution sees its central pixel only: none looks over an image's edge."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and (size := module.kernel_size[0]) > 1:
            middle = module.weight[:, :, size // 2, size // 2].detach().clone()
            with torch.no_grad():
                module.weight.zero_()
                module.weight[:, :, size // 2, size // 2] = size * middle


def keep_proposals_off_padding(model: Any) -> None:
    """Padding scores the classifier's bias, which half of the pixels exceed, as if trained."""
    for name, parameter in model.named_parameters():
        if name.endswith(("enc_output.bias", "enc_output_norm.bias")):
            with torch.no_grad():
                parameter.zero_()


@pytest.mark.parametrize("name", MODELS)
def test_strides_and_stage1_are_those_of_the_maps(name: str, loaded: Loaded) -> None:
    _, detector = loaded(name)
    spec, (batch, padding_mask) = detector.spec, collate_images(images(name))
    height, width = batch.shape[2:]
    found = detector(batch, padding_mask)
    for stride, level in zip(spec.strides, found.memory, strict=True):
        assert level.shape[1:3] == (-(-height // stride), -(-width // stride))
    if name in WITHOUT_C1:
        assert spec.strides == {"lw-detr": (8, 32), "rf-detr": (14,), "yolos": (16,)}[name]
        assert (found.c1, spec.c1_channels) == (None, 0)
        return
    assert found.c1.shape[1:] == (height // 4, width // 4, spec.c1_channels)
    assert torch.equal(detector.stage1(batch, padding_mask), found.c1)
    if name == "deimv2-dinov3":
        adapter = detector.model.model.conv_encoder.spatial_tuning_adapter
        with torch.no_grad():  # the convolution that makes the map at stride 8 reads C1
            close(adapter.conv2(found.c1.permute(0, 3, 1, 2)), adapter(batch)[0])
        return
    # the first stage's own output, by Transformers' own naming of hidden states
    backbone = detector.model.get_submodule(detector.family.backbones[0])
    with torch.no_grad():
        stages = backbone(batch, output_hidden_states=True).hidden_states
    assert torch.equal(found.c1, stages[1].permute(0, 2, 3, 1))


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


def test_deformable_detr_gives_the_maps_of_layer_4_as_the_paper_found_best(tmp_path: Path) -> None:
    settings = {**MODELS["deformable-detr"][1], "encoder_layers": 5}
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.DeformableDetrConfig(backbone_config=backbone, **settings)
    model = transformers.DeformableDetrForObjectDetection(config).eval()
    detector = load("deformable-detr", tmp_path, model)
    assert detector.spec.encoder_layer == 4
    batch, padding_mask = collate_images([torch.randn(3, 64, 96)])
    states = run("deformable-detr", model, batch, padding_mask).encoder_hidden_states
    maps = detector(batch, padding_mask).memory
    close(torch.cat([level.flatten(1, 2) for level in maps], 1), states[4])


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


def test_a_backbone_whose_first_stage_is_unknown_gives_no_c1(tmp_path: Path) -> None:
    backbone = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1], num_heads=[1, 1], out_features=["stage2"]
    )
    config = transformers.DetrConfig(backbone_config=backbone, **MODELS["detr"][1])
    detector = load("detr", tmp_path, transformers.DetrForObjectDetection(config))
    assert (detector.spec.strides, detector.spec.has_c1) == ((8,), False)
    assert detector(*collate_images([torch.randn(3, 64, 96)])).c1 is None


@pytest.mark.parametrize(("stages", "strides"), [(1, (8, 0)), (3, (32, 8))])
def test_a_first_stage_is_c1_where_it_is_finer_than_the_encoders_maps(
    stages: int, strides: tuple[int, int], tmp_path: Path
) -> None:
    """A ResNet that begins at stride 8: C1 beside maps at stride 32, not beside its own."""
    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8] * stages,
        depths=[1] * stages,
        layer_type="basic",
        downsample_in_first_stage=True,
        out_features=[f"stage{stages}"],
    )
    config = transformers.DetrConfig(backbone_config=backbone, **MODELS["detr"][1])
    spec = load("detr", tmp_path, transformers.DetrForObjectDetection(config)).spec
    assert (spec.strides[0], spec.c1_stride if spec.has_c1 else 0) == strides
