"""Which parameters are trained, what the detector then computes, and whom it refuses."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mfd.detectors import detect_all, freeze, load_detector
from mfd.detectors.deformable.config import DeformableConfig
from mfd.errors import ConfigError
from mfd.headtrain.config.train import Finetune
from mfd.headtrain.finetune.losses import DetectionTruth
from mfd.headtrain.finetune.tuned import TunedDetector
from mfd.images import LoadedImage
from tests.builders.deformable import small_detector
from tests.builders.tiny import detector as tiny


def images(*sizes_hw: tuple[int, int]) -> list[LoadedImage]:
    return [LoadedImage(torch.randn(3, *size), size) for size in sizes_hw]


def truths(count: int) -> list[DetectionTruth]:
    box = torch.tensor([[0.5, 0.4, 0.3, 0.2]])
    return [DetectionTruth(torch.tensor([n % 3]), box + 0.05 * n) for n in range(count)]


@pytest.mark.parametrize("family", ["hdetr", "dino"])
def test_transformer_alone_or_all_of_it_is_trained(family: str) -> None:
    trained = {}
    for part in ("transformer", "all"):
        detector = freeze(small_detector(family))
        names = dict(detector.named_parameters())
        TunedDetector(detector, part)
        trained[part] = {name for name, p in names.items() if p.requires_grad}
    assert trained["all"] == set(names)
    parts = {name.split(".")[1] for name in trained["transformer"]}
    assert parts == {"encoder", "decoder", "proposals", "level_embed"}
    assert {name.split(".")[1] for name in trained["all"] - trained["transformer"]} == {
        "backbone",
        "input_proj",
    }


def test_batch_normalisation_stays_as_it_is() -> None:
    detector = load_detector("demo")
    tuned = TunedDetector(detector, "all")
    norms = [m for m in tuned.module.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [{k: v.clone() for k, v in norm.state_dict().items()} for norm in norms]
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
    _, loss = tuned.detect(images((64, 96)), [1], truths(1), precision="float32", with_c1=True)
    loss.backward()
    optimizer.step()
    assert len(norms) > 10
    for norm, state in zip(norms, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("family", ["hdetr", "dino"])
def test_features_are_those_of_the_frozen_detector_with_gradients(family: str) -> None:
    detector = freeze(small_detector(family))
    batch = images((64, 96), (50, 70))
    expected = detect_all(detector, batch, [4, 5], 2)
    tuned = TunedDetector(detector, "all")
    found, _ = tuned.detect(batch, [4, 5], truths(2), precision="float32", with_c1=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.c1 is not None
        assert theirs.c1 is not None
        torch.testing.assert_close(ours.queries, theirs.queries)
        torch.testing.assert_close(ours.memory, theirs.memory)
        torch.testing.assert_close(ours.c1, theirs.c1)
        assert all(t.requires_grad for t in (ours.queries, ours.c1, *ours.memory))
        assert not ours.boxes.requires_grad


@pytest.mark.parametrize("part", ["transformer", "all"])
@pytest.mark.parametrize("family", ["hdetr", "dino"])
def test_every_trained_parameter_gets_a_gradient(family: str, part: Finetune) -> None:
    tuned = TunedDetector(freeze(small_detector(family)), part)
    _, loss = tuned.detect(
        images((64, 96), (50, 70)), [4, 5], truths(2), precision="float32", with_c1=True
    )
    loss.backward()
    without = [
        name
        for name, p in tuned.module.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    # keys of an attention are shifted together by their bias, which changes nothing
    assert not [name for name in without if "in_proj_bias" not in name]


@pytest.mark.parametrize("family", ["hdetr", "dino"])
def test_steps_on_one_image_lower_the_loss(family: str) -> None:
    tuned = TunedDetector(freeze(small_detector(family)), "transformer")
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=1e-3)
    batch, losses = images((64, 96)), []
    for _ in range(15):
        _, loss = tuned.detect(batch, [4], truths(1), precision="float32", with_c1=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_queries_for_many_matches_are_left_out() -> None:
    config: DeformableConfig = replace(small_detector("hdetr").network.config)
    tuned = TunedDetector(freeze(small_detector("hdetr", extra_queries=7)), "all")
    found, _ = tuned.detect(images((64, 96)), [4], truths(1), precision="float32", with_c1=False)
    assert len(found[0].queries) == config.num_queries


def test_detectors_of_other_code_are_refused_by_family() -> None:
    with pytest.raises(ConfigError, match=r"found tiny; no hf: family \(detr, .*deformable_detr"):
        TunedDetector(freeze(tiny()), "all")
