"""Checkpoints as their authors publish them become Transformers' model of the same weights.

The names below go from Transformers to the authors', the other way than the code does.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from mfd.coco import COCO_IDS
from mfd.detectors import load_detector
from mfd.detectors.hf.originals.load import ORIGINALS
from mfd.detectors.load import ORIGINALS as NAMES
from mfd.errors import DetectorError
from tests.detectors.hf.tiny_models import randomise, run

_HYBRID = {
    "d_model": 32,
    "encoder_hidden_dim": 48,
    "encoder_ffn_dim": 40,
    "decoder_in_channels": [48] * 3,
    "decoder_layers": 2,
    "decoder_ffn_dim": 56,
    "num_denoising": 0,
    "num_queries": 300,
    "num_labels": 80,
}
_RESNET = transformers.RTDetrResNetConfig(
    hidden_sizes=[64, 128, 256, 512],
    depths=[1, 2, 1, 1],
    layer_type="basic",
    out_features=["stage2", "stage3", "stage4"],
)
_HGNET = transformers.HGNetV2Config(
    stem_channels=[3, 8, 8],
    hidden_sizes=[16, 24, 32, 40],
    depths=[1, 1, 2, 1],
    stage_in_channels=[8, 16, 24, 32],
    stage_mid_channels=[8, 8, 8, 8],
    stage_out_channels=[16, 24, 32, 40],
    stage_num_blocks=[1, 1, 2, 1],
    stage_downsample=[False, True, True, True],
    stage_light_block=[False, False, True, True],
    stage_kernel_size=[3, 3, 5, 5],
    stage_numb_of_layers=[2, 2, 3, 2],
    use_learnable_affine_block=True,
    out_features=["stage2", "stage3", "stage4"],
)
_VIT = transformers.RfDetrDinov2Config(
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=1,
    patch_size=16,
    image_size=128,
    num_windows=2,
    out_features=["stage2", "stage4"],
)
CONFIGS: dict[str, Any] = {
    "rt-detr": transformers.RTDetrConfig(
        **_HYBRID,
        backbone_config=_RESNET,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
    ),
    "rt-detr-v2": transformers.RTDetrV2Config(
        **_HYBRID, backbone_config=_RESNET, encoder_in_channels=[128, 256, 512], decoder_n_points=3
    ),
    "d-fine": transformers.DFineConfig(
        **_HYBRID,
        backbone_config=_HGNET,
        encoder_in_channels=[24, 32, 40],
        decoder_n_points=[3, 6, 2],
        depth_mult=0.67,
        hidden_expansion=0.5,
        reg_scale=8.0,
    ),
    "rf-detr": transformers.RfDetrConfig(
        backbone_config=_VIT,
        d_model=64,
        decoder_layers=2,
        decoder_ffn_dim=40,
        decoder_self_attention_heads=2,
        decoder_cross_attention_heads=4,
        decoder_n_points=2,
        num_queries=11,
        num_labels=91,
    ),
}
SIDE = 128

_TRANSFORMER = [
    (r"^model\.backbone\.model\.", "backbone."),
    (r"^model\.encoder_input_proj\.(\d+)\.0", r"encoder.input_proj.\1.conv"),
    (r"^model\.encoder_input_proj\.(\d+)\.1", r"encoder.input_proj.\1.norm"),
    (r"^model\.decoder_input_proj\.(\d+)\.0", r"decoder.input_proj.\1.conv"),
    (r"^model\.decoder_input_proj\.(\d+)\.1", r"decoder.input_proj.\1.norm"),
    (r"^model\.encoder\.aifi", "encoder.encoder"),
    (r"^model\.encoder\.", "encoder."),
    (r"^model\.decoder\.class_embed", "decoder.dec_score_head"),
    (r"^model\.decoder\.bbox_embed", "decoder.dec_bbox_head"),
    (r"^model\.decoder\.(layers|lqe_layers)", r"decoder.decoder.\1"),
    (r"^model\.enc_output\.0", "decoder.enc_output.proj"),
    (r"^model\.enc_output\.1", "decoder.enc_output.norm"),
    (r"^model\.(enc_|decoder\.)", lambda m: "decoder.enc_" if m[1] == "enc_" else "decoder."),
    (r"(encoder\.encoder.*)\.final_layer_norm", r"\1.norm2"),
    (r"\.self_attn_layer_norm", ".norm1"),
    (r"\.encoder_attn_layer_norm", ".norm2"),
    (r"\.final_layer_norm", ".norm3"),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.mlp\.(fc1|layers\.0)", ".linear1"),
    (r"\.mlp\.(fc2|layers\.1)", ".linear2"),
    (r"\.o_proj", ".out_proj"),
    (r"\.n_points_scale", ".num_points_scale"),
]
_TO_AUTHORS: dict[str, list[tuple[str, Any]]] = {
    "resnet": [
        *_TRANSFORMER,
        (r"embedder\.embedder\.(\d)", lambda m: f"conv1.conv1_{int(m[1]) + 1}"),
        (r"encoder\.stages\.(\d+)\.layers\.(\d+)", r"res_layers.\1.blocks.\2"),
        (r"\.layer\.(\d)\.", lambda m: f".branch2{'abc'[int(m[1])]}."),
        (r"shortcut\.1\.", "short.conv."),
        (r"shortcut", "short"),
        (r"convolution", "conv"),
        (r"normalization", "norm"),
    ],
    "hgnet": [
        *_TRANSFORMER,
        (r"^backbone\.embedder", "backbone.stem"),
        (r"^backbone\.encoder", "backbone"),
        (r"convolution", "conv"),
        (r"normalization", "bn"),
        (r"downsample_convs\.(\d+)\.conv", r"downsample_convs.\1.0.cv"),
        (r"(_blocks\.\d+)\.csp_rep1", r"\1.cv2.0"),
        (r"(_blocks\.\d+)\.csp_rep2", r"\1.cv3.0"),
        (r"(_blocks\.\d+)\.conv([23])", r"\1.cv\2.1"),
        (r"(_blocks\.\d+)\.conv([14])", r"\1.cv\2"),
    ],
    "vit": [
        (r"^model\.backbone\.backbone", "backbone.0.encoder.encoder"),
        (r"^model\.backbone\.projector\.layer_norm", "backbone.0.projector.stages.0.1"),
        (r"^model\.backbone\.projector\.projector_layer", "backbone.0.projector.stages.0.0"),
        (r"(stages\.0\.0.*conv\d)\.norm", r"\1.bn"),
        (r"(stages\.0\.0)\.bottlenecks", r"\1.m"),
        (r"(stages\.0\.0.*)\.conv(\d)\.", r"\1.cv\2."),
        (r"attention\.o_proj", "attention.output.dense"),
        (r"(encoder\.layer\..*attention)\.q_proj", r"\1.attention.query"),
        (r"(encoder\.layer\..*attention)\.k_proj", r"\1.attention.key"),
        (r"(encoder\.layer\..*attention)\.v_proj", r"\1.attention.value"),
        (r"^model\.reference_point_embed", "refpoint_embed"),
        (r"^model\.query_feat", "query_feat"),
        (r"^model\.decoder\.layernorm", "transformer.decoder.norm"),
        (r"^model\.", "transformer."),
        (r"\.self_attn_layer_norm", ".norm1"),
        (r"\.cross_attn_layer_norm", ".norm2"),
        (r"(decoder\.layers\.\d+)\.layer_norm", r"\1.norm3"),
        (r"\.mlp\.fc(\d)", lambda m: f".linear{m[1]}"),
        (r"(encoder\.layer\..*)\.linear(\d)", r"\1.mlp.fc\2"),
        (r"self_attn\.o_proj", "self_attn.out_proj"),
    ],
}
_BACKBONES = {"rt-detr": "resnet", "rt-detr-v2": "resnet", "d-fine": "hgnet", "rf-detr": "vit"}


def build(name: str, **changes: Any) -> Any:
    family = type(CONFIGS[name])(**{**CONFIGS[name].to_dict(), **changes})
    architecture = type(family).__name__.replace("Config", "ForObjectDetection")
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(family)
    randomise(model, (SIDE, SIDE), images=1)
    return model


def as_authors_save(name: str, model: Any) -> dict[str, Tensor]:
    """The weights of the model under the names that its authors gave them, projections packed."""
    weights = {k: v for k, v in model.state_dict().items() if not _is_copy(name, k)}
    state: dict[str, Tensor] = {}
    for key, value in weights.items():
        packed = re.match(r"(.*(?:aifi|decoder\.layers).*self_attn\.)([qkv])_proj\.(.*)", key)
        if packed and packed[2] != "q":
            continue
        if packed:
            parts = [weights[f"{packed[1]}{part}_proj.{packed[3]}"] for part in "qkv"]
            key, value = f"{packed[1]}in_proj_{packed[3]}", torch.cat(parts)
        for pattern, replacement in _TO_AUTHORS[_BACKBONES[name]]:
            key = re.sub(pattern, replacement, key)
        if name == "rt-detr":  # the first version numbers what the second names
            key = re.sub(r"(input_proj\.\d+|enc_output)\.(conv|proj)", r"\1.0", key)
            key = re.sub(r"(input_proj\.\d+|enc_output)\.norm", r"\1.1", key)
        state[key] = value.clone()
    if name != "rf-detr":  # one anchor for each cell of the maps
        state["decoder.anchors"] = torch.zeros(1, 16**2 + 8**2 + 4**2, 4)
        state["decoder.valid_mask"] = torch.ones(1, 336, 1)
    return state


def _is_copy(name: str, key: str) -> bool:
    """Transformers also names the decoder's heads at the top, where RF-DETR has its own."""
    return name != "rf-detr" and key.startswith(("class_embed", "bbox_embed"))


def save(path: Path, state: Mapping[str, Tensor], **beside: Any) -> Path:
    torch.save({"date": "today", "ema": {"module": dict(state), "updates": 3}, **beside}, path)
    return path


def training(name: str) -> dict[str, Any]:
    """What RF-DETR's checkpoints say of the training; the others say nothing of use."""
    called = argparse.Namespace(
        out_feature_indexes=[2, 4], resolution=128, num_windows=2, sa_nheads=2, ca_nheads=4
    )
    return {"args": called} if name == "rf-detr" else {}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_computes_what_transformers_computes_of_its_weights(
    name: str, tmp_path: Path
) -> None:
    model = build(name)
    path = save(tmp_path / "best.pth", as_authors_save(name, model), **training(name))
    said: list[str] = []
    detector = load_detector(name, path, say=said.append)
    images = torch.randn(1, 3, SIDE, SIDE)
    nowhere = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    wanted = run(name, model, images, nowhere)
    found = detector(images.to(memory_format=torch.channels_last), nowhere)
    for ours, theirs in (
        (found.queries, wanted.last_hidden_state),
        (found.boxes, wanted.pred_boxes),
        (found.logits, wanted.logits),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
    assert detector.spec.preprocessing.size_hw == (SIDE, SIDE)
    assert detector.spec.has_c1 == (name != "rf-detr")
    ids = tuple(range(91)) if name == "rf-detr" else COCO_IDS
    assert detector.spec.category_ids == ids
    assert said == [f"{path}: weights of 'ema.module'"]


def test_the_names_that_need_no_import_are_those_of_the_table() -> None:
    assert tuple(ORIGINALS) == NAMES
    assert CONFIGS.keys() == ORIGINALS.keys()


def test_own_classes_and_image_size_are_taken_from_the_weights(tmp_path: Path) -> None:
    state = as_authors_save("d-fine", build("d-fine", num_labels=3))
    state["decoder.anchors"] = torch.zeros(1, 40**2 + 20**2 + 10**2, 4)
    said: list[str] = []
    spec = load_detector("d-fine", save(tmp_path / "own.pth", state), say=said.append).spec
    assert (spec.category_ids, spec.preprocessing.size_hw) == ((0, 1, 2), (320, 320))
    assert said[-1].endswith("3 categories, counted 0 to 2 as in its training")


def test_rt_detr_m_is_evaluated_by_three_of_its_six_layers(tmp_path: Path) -> None:
    backbone = transformers.RTDetrResNetConfig(
        depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
    )
    changes = {"hidden_expansion": 0.5, "encoder_in_channels": [512, 1024, 2048]}
    model = build("rt-detr", backbone_config=backbone, decoder_layers=6, **changes)
    path = save(tmp_path / "m.pth", as_authors_save("rt-detr", model))
    images = torch.randn(1, 3, SIDE, SIDE)
    nowhere = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    layers = run("rt-detr", model, images, nowhere).intermediate_hidden_states
    images = images.to(memory_format=torch.channels_last)
    found = load_detector("rt-detr", path)(images, nowhere)
    torch.testing.assert_close(found.queries, layers[:, 2], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("decoder.up"), r"weights 1 missing \(model.decoder.up\)"),
        (lambda state: state.update(strange=torch.zeros(1)), r"1 unexpected \(strange\)"),
        (
            lambda state: state.update({"decoder.enc_score_head.bias": torch.zeros(2)}),
            r"1 mis-shaped \(model.enc_score_head.bias\)",
        ),
        (
            lambda state: state.pop("backbone.stem.stem1.conv.weight"),
            r"no weight 'backbone\.stem\.stem1",
        ),
    ],
)
def test_weights_of_another_configuration_are_refused(
    change: Any, problem: str, tmp_path: Path
) -> None:
    state = as_authors_save("d-fine", build("d-fine"))
    change(state)
    with pytest.raises(DetectorError, match=problem) as caught:
        load_detector("d-fine", save(tmp_path / "changed.pth", state))
    assert "\n" not in str(caught.value)


def test_another_familys_checkpoint_is_recognised(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", as_authors_save("rf-detr", build("rf-detr")))
    with pytest.raises(DetectorError, match=r"looks like rf-detr: use --detector rf-detr"):
        load_detector("d-fine", path)
    path = save(tmp_path / "y.pth", {"strange.weight": torch.zeros(2)})
    with pytest.raises(DetectorError, match="its names are of none of rf-detr, rt-detr"):
        load_detector("d-fine", path)
    with pytest.raises(DetectorError, match="needs a checkpoint, from the rfdetr package"):
        load_detector("rf-detr")
