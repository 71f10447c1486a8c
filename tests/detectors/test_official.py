"""The paper's detectors against the official code's outputs, and checkpoints that do not fit."""

import argparse
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfd.coco import COCO_NAMES
from mfd.detectors import load_detector
from mfd.detectors.official import OFFICIAL, build_official
from mfd.errors import DetectorError
from tests.detectors.fixture_weights import read_manifest, state_dict
from tests.detectors.reference_models import MODELS, TINY, build, differences

LIMIT = 1e-4


@pytest.fixture
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.mark.parametrize("model", TINY)
def test_tiny_models_compute_what_the_official_code_computes(reference: Path, model: str) -> None:
    detector = build(reference, model)
    for case in ("a", "b"):
        found = differences(reference, model, detector, case)
        assert max(found.values()) <= 1e-5, found


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hdetr-r50", "dino-swin-l-4scale", "dino-focalnet-l-5scale"])
def test_full_models_compute_what_the_official_code_computes(reference: Path, model: str) -> None:
    detector = build(reference, model)
    loose = {"hs_last", "pred_logits", "dec_layers"} if "focalnet" in model else set()
    for case in ("a", "b"):
        found = differences(reference, model, detector, case)
        for name, value in found.items():
            assert value <= (1e-3 if name in loose else LIMIT), (case, name, value)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hdetr-swin-l", "dino-r50-4scale"])
def test_the_other_full_models_load_and_run(reference: Path, model: str) -> None:
    detector = build(reference, model, encoder_layer=6)
    images = torch.randn(1, 3, 101, 170)
    with torch.no_grad():
        out = detector(images, torch.zeros(1, 101, 170, dtype=torch.bool))
    spec = detector.spec
    assert out.queries.shape == (1, spec.num_queries, 256)
    assert out.logits.shape == (1, spec.num_queries, 91)
    assert out.c1.shape[-1] == spec.c1_channels
    assert all(value.isfinite().all() for value in (out.queries, out.boxes, out.logits, out.c1))


@pytest.mark.parametrize("model", MODELS)
def test_every_key_of_a_manifest_is_used_or_ignored(reference: Path, model: str) -> None:
    keys = MODELS[model].key_map()
    expected = {name: keys.shapes[ours] for ours, group in keys.names.items() for name in group}
    manifest = read_manifest(reference, model)["state_dict"]
    left = {e["key"] for e in manifest if not keys.is_ignored_key(e["key"])} ^ expected.keys()
    assert not left
    shapes = {e["key"]: tuple(e["shape"]) for e in manifest}
    assert all(shapes[name] == tuple(shape) for name, shape in expected.items())
    aliases = {e["key"]: e["alias_of"] for e in manifest if e.get("alias_of")}
    copies = {copy: main for main, *group in keys.names.values() for copy in group}
    assert copies == aliases


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_is_the_manifests(reference: Path, model: str) -> None:
    detector, network = MODELS[model], MODELS[model].network()
    ours, official = detector.config, read_manifest(reference, model)["hyper_parameters"]
    hdetr, position = "hdetr" in model, official["position_embedding"]
    assert (ours.dim, ours.heads) == (official["hidden_dim"], official["heads"])
    assert (ours.encoder_layers, ours.decoder_layers) == (
        official["encoder_layers"],
        official["decoder_layers"],
    )
    assert ours.points == official["encoder_points"] == official["decoder_points"]
    assert (ours.feedforward, ours.num_classes, ours.strides) == (
        official["feedforward_dim"],
        official["num_classes"],
        tuple(official["level_strides"]),
    )
    assert ours.num_queries == official["queries_in_evaluation" if hdetr else "queries"]
    assert ours.extra_queries == official.get("queries_one2many", 0)
    assert ours.map_temperature == position["temperature" if hdetr else "temperature_h"]
    assert ours.map_offset == position["offset"]
    assert ours.box_eps == official["inverse_sigmoid_eps"]
    assert ours.decoder_norm == official["decoder_final_norm"]
    assert ours.shared_heads == official.get("dec_pred_class_embed_share", False)
    scores = {"class_0": "class 0 logit", "max": "max over classes"}
    assert scores[ours.token_score] == official["two_stage_score"]
    assert detector.max_detections == official["postprocess"]["topk" if hdetr else "num_select"]
    widths = tuple(level["channels"] for level in official["levels_from_backbone"])
    assert network.backbone.channels == widths
    eps = {m.eps for m in network.modules() if hasattr(m, "eps")}
    assert eps == {official["layer_norm_eps"]} == {official["group_norm"]["eps"]}
    if "window" in official["backbone"]:
        assert network.backbone.layers[0].window == official["backbone"]["window"]


def test_the_detector_gives_the_maps_of_the_chosen_encoder_layer(reference: Path) -> None:
    images, mask = torch.randn(1, 3, 67, 90), torch.zeros(1, 67, 90, dtype=torch.bool)
    for layer in (1, 2):
        detector = build(reference, "tiny64-dino-swin", encoder_layer=layer)
        with torch.no_grad():
            maps = detector(images, mask).memory
            wanted = detector.network(images, mask).encoder[layer - 1]
        assert [m.shape[1:3] for m in maps] == [(9, 12), (5, 6), (3, 3), (2, 2)]
        assert torch.cat([m.flatten(1, 2) for m in maps], dim=1).allclose(wanted, atol=1e-5)


@pytest.fixture
def state(reference: Path) -> dict[str, Tensor]:
    return state_dict(reference, read_manifest(reference, "tiny64-hdetr-swin"))


def _refusal(state: dict[str, Tensor], model: str = "tiny64-hdetr-swin") -> str:
    with pytest.raises(DetectorError) as caught:
        build_official(model, MODELS[model], state, 1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_renamed_key_is_refused_as_missing_and_unexpected(state: dict[str, Tensor]) -> None:
    state["transformer.encoder.norm.bias"] = state.pop("transformer.enc_output.bias")
    message = _refusal(state)
    assert "1 key missing (transformer.enc_output.bias)" in message
    assert "1 key unexpected (transformer.encoder.norm.bias)" in message


def test_a_transposed_matrix_is_refused(state: dict[str, Tensor]) -> None:
    key = "transformer.encoder.layers.1.linear1.weight"
    state[key] = state[key].t().contiguous()
    assert f"{key} is (64, 48), expected (48, 64)" in _refusal(state)


def test_a_square_matrix_stored_transposed_is_refused(state: dict[str, Tensor]) -> None:
    key = "transformer.enc_output.weight"
    state[key] = state[key].t()
    assert f"{key} is (64, 64) and stored transposed" in _refusal(state)


def test_a_copy_that_differs_from_its_original_is_refused(state: dict[str, Tensor]) -> None:
    key = "transformer.decoder.class_embed.0.bias"
    state[key] = state[key] + 1
    assert f"unequal to the weights they repeat ({key})" in _refusal(state)


def test_at_most_three_keys_of_a_kind_are_listed(state: dict[str, Tensor]) -> None:
    for layer in range(4):
        state[f"encoder.{layer}"] = torch.zeros(1)
    assert "4 keys unexpected (encoder.0; encoder.1; encoder.2; ...)" in _refusal(state)


def test_another_detectors_checkpoint_is_recognised(reference: Path) -> None:
    manifest = read_manifest(reference, "dino-r50-4scale")
    state = {e["key"]: torch.zeros(e["shape"]) for e in manifest["state_dict"]}
    with pytest.raises(DetectorError, match="it looks like dino-r50: use --detector dino-r50"):
        build_official("hdetr-r50", OFFICIAL["hdetr-r50"], state, 4)


def test_a_checkpoint_with_holes_is_to_be_downloaded_again(reference: Path) -> None:
    manifest = read_manifest(reference, "hdetr-r50")
    state = {e["key"]: torch.zeros(e["shape"]) for e in manifest["state_dict"][:-30]}
    with pytest.raises(DetectorError, match=r"looks changed or truncated; .* download it again"):
        build_official("hdetr-r50", OFFICIAL["hdetr-r50"], state, 4)


def test_a_checkpoint_of_something_else_is_told_what_mfd_knows(state: dict[str, Tensor]) -> None:
    strange = {f"strange.{key}": value for key, value in state.items()}
    assert "mfd knows no detector with such keys, only hdetr-r50, " in _refusal(strange)


def test_a_checkpoint_file_as_published_loads_by_name(reference: Path, tmp_path: Path) -> None:
    entries = read_manifest(reference, "hdetr-r50")["state_dict"]
    state = {e["key"]: torch.zeros(e["shape"]) for e in entries if not e.get("alias_of")}
    state |= {e["key"]: state[e["alias_of"]] for e in entries if e.get("alias_of")}
    path = tmp_path / "checkpoint.pth"
    torch.save({"model": state, "epoch": 35, "args": argparse.Namespace(lr=2e-4)}, path)
    detector = load_detector("hdetr-r50", weights=path)
    assert not detector.training
    assert not any(parameter.requires_grad for parameter in detector.parameters())
    spec = detector.spec
    assert (spec.name, spec.encoder_layer, spec.max_detections) == ("hdetr-r50", 4, 100)
    assert (spec.strides, spec.c1_channels) == ((8, 16, 32, 64), 256)
    assert spec.category_ids == tuple(range(91))
    assert spec.names == COCO_NAMES
    assert len(spec.weights_digest) == 64


def test_no_checkpoint_is_refused_with_the_place_where_it_is_published() -> None:
    with pytest.raises(DetectorError, match=r"releases/tag/v0\.1"):
        load_detector("hdetr-r50")


def test_an_encoder_layer_that_does_not_exist_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(DetectorError, match="no encoder layer 3; choose 1 to 2"):
        build_official("tiny", TINY["tiny64-hdetr-swin"], state, 3)


def test_a_checkpoint_of_swin_l_with_900_queries_keeps_them(reference: Path) -> None:
    manifest = read_manifest(reference, "hdetr-swin-l")
    state = {e["key"]: torch.zeros(e["shape"]) for e in manifest["state_dict"]}
    state["query_embed.weight"] = torch.zeros(2400, 256)
    spec = build_official("hdetr-swin-l", OFFICIAL["hdetr-swin-l"], state, 4).spec
    assert (spec.num_queries, spec.max_detections) == (900, 300)
