"""Published models whose backbone is timm's: built where it is installed, and named where not."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import transformers

from mfd.detectors import load_detector, quiet_transformers
from mfd.errors import DetectorError
from mfd.images import collate_images

BACKBONE = {"use_timm_backbone": True, "backbone": "resnet50", "use_pretrained_backbone": False}
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="needs timm: pip install '.[hf]'"
)


@needs_timm
@pytest.mark.parametrize(
    ("family", "strides"), [("Detr", (32,)), ("DeformableDetr", (8, 16, 32, 64))]
)
def test_a_model_on_timms_resnet_computes_what_transformers_computes(
    family: str, strides: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**BACKBONE, num_labels=91)
    model = getattr(transformers, f"{family}ForObjectDetection")(config).eval()
    with quiet_transformers():
        model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 800}}')
    detector = load_detector(f"hf:{tmp_path}")
    batch, padding_mask = collate_images([torch.randn(3, 128, 160), torch.randn(3, 96, 150)])
    with torch.no_grad():
        wanted = model(pixel_values=batch, pixel_mask=(~padding_mask).long())
        found = detector(batch, padding_mask)
    torch.testing.assert_close(found.boxes, wanted.pred_boxes, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.queries, wanted.last_hidden_state, rtol=0, atol=1e-4)
    assert (detector.spec.strides, detector.spec.c1_channels) == (strides, 256)
    assert torch.equal(detector.stage1(batch, padding_mask), found.c1)


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_the_error_without_timm_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "detr", **BACKBONE}))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not read before the backbone is built")
    with pytest.raises(DetectorError, match=r"timm, install .* `pip install 'mfd\[hf\]'`"):
        load_detector(f"hf:{tmp_path}")
