"""Under autocast the heads of every family give boxes and scores in float32."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mfd.detectors.hf.heads import keep_heads_in_float32
from mfd.images import collate_images
from tests.detectors.hf.tiny_models import MODELS, SIZES

Loaded = Callable[[str], tuple[Any, Any]]


@pytest.mark.parametrize("name", MODELS)
def test_autocast_reaches_no_head(name: str, loaded: Loaded) -> None:
    _, detector = loaded(name)
    batch, padding_mask = collate_images([torch.randn(3, *SIZES.get(name, (96, 128)))])
    exact = detector(batch, padding_mask)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = detector(batch, padding_mask)
    assert (found.memory[0] != exact.memory[0]).any()
    for values in (found.boxes, found.logits):
        assert values.dtype == torch.float32
        assert (values != values.bfloat16()).any()


def test_a_copied_detectors_heads_use_the_copys_weights() -> None:
    model = nn.Module()
    model.class_embed = nn.Linear(3, 2)
    keep_heads_in_float32(model, ["class_embed"])
    copied = copy.deepcopy(model)
    nn.init.zeros_(copied.class_embed.weight)
    nn.init.constant_(copied.class_embed.bias, 7.0)
    assert copied.class_embed(torch.randn(5, 3)).unique().tolist() == [7.0]
