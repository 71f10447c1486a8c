"""The models of the reference folder, built by our code, and how their outputs are compared."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfd.detectors.backbones.focalnet import FocalNet
from mfd.detectors.backbones.swin import Swin
from mfd.detectors.deformable import DeformableConfig, DeformableDetector
from mfd.detectors.deformable.proposals import Proposals, Selection
from mfd.detectors.dino import DINO
from mfd.detectors.hdetr import HDETR
from mfd.detectors.official import OFFICIAL, build_official
from tests.detectors.fixture_weights import batch, read_manifest, state_dict


def _tiny(config: DeformableConfig, num_classes: int) -> DeformableConfig:
    return replace(
        config,
        dim=64,
        heads=4,
        encoder_layers=2,
        decoder_layers=2,
        feedforward=48,
        points=2,
        num_queries=20,
        num_classes=num_classes,
    )


_SWIN = partial(Swin, embed_dim=8, depths=(2, 2, 2, 2), heads=(1, 2, 2, 4), window=6)
_DINO = _tiny(DINO, 20)

TINY = {
    "tiny64-hdetr-swin": replace(
        OFFICIAL["hdetr-swin-l"],
        config=replace(_tiny(HDETR, 91), extra_queries=10),
        backbone=_SWIN,
    ),
    "tiny64-dino-swin": replace(OFFICIAL["dino-swin-l"], config=_DINO, backbone=_SWIN),
    "tiny64-dino-focalnet": replace(
        OFFICIAL["dino-focalnet-l"],
        config=replace(_DINO, strides=(4, 8, 16, 32, 64)),
        backbone=partial(FocalNet, embed_dim=8, depths=(1, 1, 2, 1)),
    ),
}
FULL = {
    "hdetr-r50": OFFICIAL["hdetr-r50"],
    "hdetr-swin-l": OFFICIAL["hdetr-swin-l"],
    "dino-r50-4scale": OFFICIAL["dino-r50"],
    "dino-swin-l-4scale": OFFICIAL["dino-swin-l"],
    "dino-focalnet-l-5scale": OFFICIAL["dino-focalnet-l"],
}
MODELS = {**TINY, **FULL}


def build(folder: Path, model: str, encoder_layer: int = 1) -> DeformableDetector:
    """The model with the reference weights."""
    state = state_dict(folder, read_manifest(folder, model))
    return build_official(model, MODELS[model], state, encoder_layer).eval()


def differences(
    folder: Path, model: str, detector: DeformableDetector, case: str
) -> dict[str, float]:
    """How far each array of one case is from the official one, relative to its largest value.

    `topk` is how much the scores of the tokens differ that we and the official code have at the
    same rank. Where two score alike to rounding either may come first; what follows depends on it,
    so it is computed in the official order.
    """
    manifest = read_manifest(folder, model)
    reference = np.load(folder / f"{model}.reference.npz")
    expected = {k.removeprefix(f"{case}."): reference[k] for k in reference if k.startswith(case)}
    official = torch.from_numpy(expected["topk_idx"]).long()
    ranked: list[Tensor] = []

    def in_official_order(module: Proposals, inputs: Any, selection: Selection) -> Selection:
        ranked.append(selection.tokens)
        order = (selection.tokens[:, None] == official[..., None]).int().argmax(-1)
        assert torch.equal(selection.tokens.gather(1, order), official)  # the same tokens
        boxes = selection.boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return replace(selection, tokens=official, boxes=boxes)

    hook = detector.network.proposals.register_forward_hook(in_official_order)
    with torch.no_grad():
        found = detector.network(*batch(manifest, case, reference))
    hook.remove()
    y, x = expected["c1_yx"].T
    scores = found.selection.logits
    some = expected["queries"]
    ours: dict[str, Tensor] = {
        "c1": found.c1[:, :, y, x].transpose(1, 2),
        "enc_layers": torch.stack(found.encoder)[:, :, expected["tokens"]],
        "memory": found.encoder[-1][:, expected["memory_tokens"]],
        "enc_scores": scores[..., 0] if "hdetr" in model else scores.amax(-1),
        "references": found.selection.boxes,
        "dec_layers": found.queries[:, :, some],
        "boxes_per_layer": found.boxes[:, :, some],
        "hs_last": found.queries[-1],
        "pred_logits": found.logits[-1],
        "pred_boxes": found.boxes[-1],
    }
    expected["enc_layers"] = expected["enc_layers"][1:]
    expected["references"] = expected["references"][0]
    result = {name: _relative(value, expected[name]) for name, value in ours.items()}
    token_scores = ours["enc_scores"]
    at_rank = token_scores.gather(1, ranked[0]), token_scores.gather(1, official)
    return {
        **result,
        "topk": float((at_rank[0] - at_rank[1]).abs().max() / token_scores.abs().max()),
    }


def _relative(found: Tensor, expected: np.ndarray) -> float:
    wanted = torch.from_numpy(expected).double()
    assert found.shape == wanted.shape
    return float((found.double() - wanted).abs().max() / wanted.abs().max())
