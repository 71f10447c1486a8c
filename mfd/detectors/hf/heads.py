"""Heads in float32 under autocast too: 8 bits would round a box of a large image by pixels."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

# What Transformers' families call the modules that give scores, boxes and reference points.
_HEADS = re.compile(
    r"(class_embed|class_labels_classifier|enc_score_head"
    r"|bbox_embed|bbox_predictor|enc_bbox_head|pre_bbox_head"
    r"|ref_point_head|reference_points)(\.\d+)?$"
)


def keep_heads_in_float32(model: nn.Module) -> None:
    """Let autocast change nothing in the model's heads, whatever it does in the rest."""
    for name, module in model.named_modules():
        if _HEADS.search(name) and not isinstance(module, nn.ModuleList):
            # a wrapping module would rename the weights; a closure would not follow a copy
            module.forward = partial(_in_float32, module.forward)


def _in_float32(forward: Callable[..., Any], *inputs: Tensor) -> Any:
    with torch.autocast(inputs[0].device.type, enabled=False):
        return forward(*(value.float() for value in inputs))
