"""Checkpoints as their authors publish them become Transformers' model of the same weights."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from mfd.coco import COCO_IDS
from mfd.detectors import load_detector, restore_deimv2
from mfd.detectors.hf.originals import ORIGINALS
from mfd.errors import DetectorError
from tests.detectors.hf.authors_models import CONFIGS, SIDE, as_trained, build
from tests.detectors.hf.authors_names import as_authors_save
from tests.detectors.hf.tiny_models import run

PACKED = "decoder.decoder.layers.0.self_attn.in_proj_weight"


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
    if name.startswith("deimv2/"):
        as_trained(model, name)
    path = save(tmp_path / "best.pth", as_authors_save(name, model), **training(name))
    if name.startswith("deimv2"):
        restore_deimv2(model)
    said: list[str] = []
    detector = load_detector(name.split("/")[0], path, say=said.append)
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


def test_every_family_is_tried() -> None:
    assert {name.split("/")[0] for name in CONFIGS} == ORIGINALS.keys()


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
        *(
            (lambda state, value=value: state.update({PACKED: value}), problem)
            for value, problem in ((torch.zeros(2), "3 mis-shaped"), (torch.zeros(()), "3 missing"))
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
