"""Which heads can be asked for, and which are refused."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.presets.paper import presets
from mfd.headtrain.presets.preset import HDETR_R50
from mfd.settings import from_json, replace_from_texts


def test_every_preset_survives_json() -> None:
    for preset in presets().values():
        text = json.dumps(asdict(preset.config))
        assert from_json(HeadConfig, json.loads(text)) == preset.config


def test_fields_are_set_from_text() -> None:
    changed = replace_from_texts(HeadConfig(), {"box_dim": "none", "roi_size": "16"})
    assert changed == replace(HeadConfig(), box_dim=None, roi_size=16)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"neck": True, "use_c1": False}, "neck=true needs use_c1=true"),
        ({"box_layers": 0}, "query encoder .* needs box_layers of 1"),
        ({"roi_align": False}, "roi_align=false needs box_layers=0"),
        ({"roi_size": 20}, "roi_size that 8 divides .found 20."),
        ({"roi_size": 20, "mask_scoring": False, "box_encoder": "swin"}, "roi_size that 8"),
        ({"image_layers": -1}, "image_layers must be 0 or more"),
        ({"roi_size": 0}, "roi_size must be 1 or more"),
        ({"box_dim": 0}, "box_dim must be 1 or more"),
        ({"image_encoder": "resnet"}, "image_encoder must be"),
        ({"mask_head": "none"}, "mask_head must be"),
        ({"image_layers": 2.0}, "image_layers must be"),
        ({"neck": 1}, "neck must be"),
        ({"box_dim": "128"}, "box_dim must be"),
    ],
)
def test_what_cannot_be_built_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HeadConfig(**fields)


def test_widths_that_do_not_fit_the_detector_are_refused() -> None:
    narrow_c1 = replace(HDETR_R50, c1_channels=192)
    with pytest.raises(ConfigError, match="must have 256 channels, but hdetr-r50 has 192"):
        HeadConfig(neck=False).check(narrow_c1)
    HeadConfig(neck=False, use_c1=False).check(narrow_c1)
    HeadConfig().check(narrow_c1)
    with pytest.raises(ConfigError, match="num_heads=8 does not divide the box_dim 100"):
        HeadConfig(box_dim=100).check(HDETR_R50)
    with pytest.raises(ConfigError, match="num_heads=3 does not divide the detector width 256"):
        HeadConfig(num_heads=3, box_dim=96).check(HDETR_R50)
    with pytest.raises(ConfigError, match="width that 4 divides"):
        HeadConfig(num_heads=2).check(replace(HDETR_R50, dim=30))
