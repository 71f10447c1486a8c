"""Every head that the paper measures, by name, with the paper's figures for it; and ours."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mfd.detectors import DetectorSpec
from mfd.errors import ConfigError
from mfd.headtrain.config.head import BoxEncoder, HeadConfig, ImageEncoder
from mfd.headtrain.config.train import Finetune, TrainConfig
from mfd.headtrain.presets.ours import MFD
from mfd.headtrain.presets.preset import DINO_FOCALNET_L, HDETR_R50, HDETR_SWIN_L, Preset
from mfd.text import suggest

COUNTED = Path(__file__).with_name("counted.json")
"""Parameters and multiply-accumulates of each preset; `python -m tools.count_presets` writes it."""

_DETECTORS = {"r50": HDETR_R50, "swin-l": HDETR_SWIN_L, "focalnet-l": DINO_FOCALNET_L}
_MODES: dict[str, Finetune] = {"frozen": "none", "partial": "transformer", "finetune": "all"}
"""What table 16 calls training nothing of the detector, its transformer, and all of it."""


def presets() -> dict[str, Preset]:
    """All presets by name: ours, and the paper's in the order of its rows."""
    return {preset.name: preset for preset in (MFD, *_rows())}


def find_preset(name: str) -> Preset:
    """The preset of that name; `paper` is the best head of the paper's tables 1 to 6, `mfd` ours.

    Raises:
        ConfigError: if there is none; offers the nearest name.
    """
    known = presets()
    if name not in known:
        raise ConfigError(
            f"no preset is called {name!r}; {suggest(name, known)}; see `mfd presets`"
        )
    return known[name]


def default_preset(spec: DetectorSpec) -> Preset:
    """The best head of the paper for a detector of this kind.

    That of tables 1 to 6 where C1 is finer than the encoder's maps. Where it is not, or there is
    none, that of table 15, which goes without.
    """
    finer = spec.has_c1 and spec.c1_stride < spec.strides[0]
    return find_preset("paper" if finer else "focalnet-2-2")


def preset_table() -> list[dict[str, Any]]:
    """Our sizes beside the paper's, one JSON object per preset, as `mfd presets` prints them."""
    sizes = json.loads(COUNTED.read_text())

    def row(preset: Preset) -> dict[str, Any]:
        parameters, macs = sizes[preset.name]
        return {
            "name": preset.name,
            "table": preset.table,
            "params_m": parameters / 1e6,
            "macs_g": macs / 1e9,
            "paper_params_m": preset.paper_params_m,
            "paper_macs_g": preset.paper_macs_g,
            "paper_ap": preset.paper_ap,
            "recipe": changed_fields(preset.recipe),
        }

    return [row(preset) for preset in presets().values()]


def changed_fields(recipe: TrainConfig) -> dict[str, Any]:
    """The settings of a recipe that are not the defaults."""
    usual = asdict(TrainConfig())
    return {name: value for name, value in asdict(recipe).items() if value != usual[name]}


def _rows() -> Iterator[Preset]:
    """The tables; each builds on what the one before found."""
    baseline = HeadConfig(
        image_layers=0,
        box_layers=0,
        box_dim=None,
        query_ffn=False,
        query_b2o=False,
        neck=False,
        mask_scoring=False,
        sampled_points=False,
    )
    whole = replace(baseline, roi_align=False)
    yield Preset("baseline-whole", 1, replace(whole, use_c1=False), 0.0, 0.0, 1.49)
    yield Preset("baseline-roi", 1, replace(baseline, use_c1=False), 4.4, 0.0, 0.53)
    yield Preset("baseline-whole-c1", 1, whole, 0.0, 0.0, 1.50)
    yield Preset("baseline-roi-c1", 1, baseline, 5.1, 0.0, 0.54)

    def image(block: ImageEncoder, layers: int, ap: float, params: float, macs: float) -> Preset:
        config = replace(baseline, image_encoder=block, image_layers=layers)
        return Preset(f"image-{block}-{layers}", 2, config, ap, params, macs)

    yield Preset("image-none", 2, baseline, 5.1, 0.0, 0.54)
    yield image("deformable", 1, 30.8, 0.76, 14.71)
    yield image("deformable", 2, 32.9, 1.51, 28.88)
    yield image("deformable", 3, 33.7, 2.27, 43.04)
    yield image("swin", 1, 30.0, 0.80, 14.20)
    yield image("swin", 2, 31.6, 1.59, 27.86)
    yield image("swin", 3, 32.2, 2.39, 41.51)
    yield image("convnext", 1, 27.5, 0.54, 8.12)
    yield image("convnext", 2, 30.0, 1.08, 15.70)
    yield image("convnext", 3, 30.7, 1.62, 23.27)

    refined = replace(baseline, image_layers=2)

    def box(block: BoxEncoder, layers: int, ap: float, params: float, macs: float) -> Preset:
        config = replace(refined, box_encoder=block, box_layers=layers)
        return Preset(f"box-{block}-{layers}", 3, config, ap, params, macs)

    yield Preset("box-none", 3, refined, 32.9, 1.51, 28.88)
    yield box("deformable", 1, 44.4, 2.46, 98.55)
    yield box("deformable", 2, 44.9, 3.14, 168.23)
    yield box("deformable", 3, 45.1, 3.82, 237.91)
    yield box("swin", 1, 42.5, 2.31, 112.84)
    yield box("swin", 2, 43.7, 3.10, 196.81)
    yield box("swin", 3, 44.3, 3.89, 280.77)
    yield box("convnext", 1, 40.9, 2.05, 83.90)
    yield box("convnext", 2, 43.0, 2.59, 138.92)
    yield box("convnext", 3, 43.7, 3.13, 193.95)

    wide = replace(refined, box_layers=2)
    narrow = replace(wide, box_dim=128)
    yield Preset("dim-256", 4, wide, 44.9, 3.14, 168.23)
    yield Preset("dim-128", 4, narrow, 44.7, 2.07, 66.60)
    yield Preset("dim-96", 4, replace(wide, box_dim=96), 44.6, 1.87, 50.76)
    yield Preset("dim-64", 4, replace(wide, box_dim=64), 44.5, 1.71, 39.11)

    ffn = replace(narrow, query_ffn=True)
    b2o = replace(ffn, query_b2o=True)
    yield Preset("query-none", 5, narrow, 44.7, 2.07, 66.60)
    yield Preset("query-ffn", 5, ffn, 44.7, 2.33, 66.63)
    yield Preset("query-ffn-o2o", 5, replace(ffn, query_o2o=True), 43.9, 2.53, 66.65)
    yield Preset("query-ffn-b2o", 5, b2o, 44.8, 2.46, 73.40)

    neck = replace(b2o, neck=True)
    sampled = replace(neck, sampled_points=True)
    paper = replace(sampled, mask_scoring=True)
    yield Preset("plain", 6, b2o, 44.8, 2.46, 73.40)
    yield Preset("neck", 6, neck, 45.2, 2.53, 77.07)
    yield Preset("neck-sampled", 6, sampled, 45.3, 2.53, 77.07)
    yield Preset("paper", 6, paper, 45.7, 3.26, 82.09)

    yield Preset("roi-16", 9, replace(paper, roi_size=16), 44.8, 2.97, 46.09)
    yield Preset("roi-32", 9, paper, 45.7, 3.26, 82.09)
    yield Preset("roi-64", 9, replace(paper, roi_size=64), 45.9, 4.44, 225.86)

    def trained(name: str, table: int, ap: float, recipe: TrainConfig) -> Preset:
        return Preset(name, table, paper, ap, recipe=recipe)

    yield trained("epochs-6", 10, 45.7, TrainConfig(epochs=6))
    yield trained("epochs-12", 10, 46.0, TrainConfig(epochs=12))

    yield trained("lsj-off", 11, 45.7, TrainConfig())
    yield trained("lsj", 11, 46.0, TrainConfig(augment="lsj"))

    segmenter = replace(paper, mask_head="segmenter")
    yield Preset("mask-dot-product", 12, paper, 45.7, 3.26, 82.09)
    yield Preset("mask-segmenter", 12, segmenter, 45.7, 3.29, 83.77)

    yield trained("batch-2", 13, 45.9, TrainConfig(batch_size=2))
    yield trained("batch-4", 13, 45.9, TrainConfig(batch_size=4))
    yield trained("batch-8", 13, 45.7, TrainConfig(batch_size=8))

    yield Preset("encoder-layer-2", 14, paper, 45.7, encoder_layer=2)
    yield Preset("encoder-layer-4", 14, paper, 45.7, encoder_layer=4)
    yield Preset("encoder-layer-6", 14, paper, 45.5, encoder_layer=6)

    five_levels = replace(paper, use_c1=False, neck=False)

    def depth(image: int, box: int, ap: float, params: float, macs: float) -> Preset:
        config = replace(five_levels, image_layers=image, box_layers=box)
        name = f"focalnet-{image}-{box}"
        return Preset(name, 15, config, ap, params, macs, spec=DINO_FOCALNET_L, num_boxes=300)

    yield depth(2, 2, 54.9, 3.24, 262.27)
    yield depth(2, 3, 54.9, 3.62, 326.65)
    yield depth(3, 2, 55.0, 4.03, 320.44)
    yield depth(3, 3, 55.0, 4.40, 384.82)
    yield depth(4, 4, 55.0, 5.56, 507.38)

    def tuned(detector: str, mode: str, ap: float) -> Preset:
        spec = _DETECTORS[detector]
        config = five_levels if spec is DINO_FOCALNET_L else paper
        recipe = TrainConfig(augment="ms", finetune=_MODES[mode])
        return Preset(f"table16-{detector}-{mode}", 16, config, ap, spec=spec, recipe=recipe)

    yield tuned("r50", "frozen", 45.7)
    yield tuned("r50", "partial", 45.6)
    yield tuned("r50", "finetune", 46.0)
    yield tuned("swin-l", "frozen", 54.0)
    yield tuned("swin-l", "partial", 54.1)
    yield tuned("swin-l", "finetune", 54.1)
    yield tuned("focalnet-l", "frozen", 54.9)
    yield tuned("focalnet-l", "partial", 54.9)
    yield tuned("focalnet-l", "finetune", 55.0)
