"""Exported files: what they contain, and that they compute what mfd does, without it."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mfd import MaskFrozenDETR
from mfd.config import DetectorChoice
from mfd.detectors import Detector, detect, load_detector
from mfd.errors import ExportError
from mfd.export.parts import head_part, image_part
from mfd.export.write import SCRIPT, facts_of
from mfd.headtrain import (
    HeadConfig,
    MaskHead,
    Prediction,
    Run,
    RunConfig,
    collate_candidates,
    select_detections,
)
from mfd.headtrain.inference.masks import predict_masks
from mfd.images import Preprocessing, prepare_image
from tests.builders import tiny
from tests.builders.batches import randomise
from tests.builders.runs import HEAD

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

NAMES = {1: "disc", 3: "ring", 90: "hook"}
MARGIN = replace(HEAD, frame_margin=0.2)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector(f"{tiny.__file__}:detector")


@pytest.fixture(scope="module")
def run(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose head says something of every mask."""
    torch.manual_seed(3)
    head = randomise(MaskHead(MARGIN, detector.spec))
    run = Run(tmp_path_factory.mktemp("runs") / "one")
    choice = DetectorChoice(f"{tiny.__file__}:detector")
    run.begin(RunConfig(head.config, detector.spec, choice, NAMES), resume=False)
    run.save_head(head)
    return run


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes; by a process of its own, for under pytest shapes are no symbols."""
    folder = tmp_path_factory.mktemp("exported")
    each = [["--parts", "model"], ["--format", "torch"]]
    calls = [["export", str(run.path), "--out", str(folder), *options] for options in each]
    code = f"from mfd.cli import main; assert not any(map(main, {calls}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder.parent
    )
    assert done.returncode == 0, done.stderr
    assert "compared on generated images, for there are no val images here" in done.stderr
    assert re.search(r"model.onnx: differs from PyTorch by at most .* on 3 images", done.stderr)
    assert f"without mfd and PyTorch: python {folder / 'predict.py'} PICTURE" in done.stderr
    written = ["model.onnx", "predict.py", "head.pt2", "model.pt2"]
    assert done.stdout.splitlines() == [str(folder / name) for name in written]
    assert sorted(path.name for path in folder.iterdir()) == sorted(written)
    return folder


def open_script(folder: Path) -> Any:
    """The exported script as a module."""
    spec = importlib.util.spec_from_file_location("exported_predict", folder / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(height: int, width: int) -> Image.Image:
    random = np.random.default_rng(height)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


class InPyTorch:
    """What the script asks of onnxruntime's session, answered by the module itself."""

    def __init__(self, run: Run, detector: Detector) -> None:
        self.part = image_part(detector, run.load_head())
        self.facts = facts_of(run)

    def get_modelmeta(self) -> SimpleNamespace:
        return SimpleNamespace(custom_metadata_map={"mfd": json.dumps(self.facts)})

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.part.outputs]

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            found = self.part.module(*map(torch.from_numpy, inputs.values()))
        return [tensor.numpy() for tensor in found]


def compare(found: list[dict[str, Any]], expected: list[Prediction]) -> None:
    """The script's instances are mfd's, but for the last digits and pixels at the threshold."""
    assert expected
    assert [f["category"] for f in found] == [p.category for p in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["category_id"] == theirs.category_id
        assert ours["class_score"] == pytest.approx(theirs.class_score, abs=1e-5)
        assert ours["quality"] == pytest.approx(theirs.quality, abs=1e-4)
        assert ours["box_xyxy"] == pytest.approx(theirs.box_xyxy, abs=1e-2)
        assert ours["mask"].shape == theirs.mask.shape
        assert (ours["mask"] != theirs.mask).mean() < 2e-3
    assert any(f["mask"].any() and not f["mask"].all() for f in found)


@pytest.mark.parametrize("size_hw", [(48, 64), (95, 61), (40, 301), (700, 3)])
def test_script_finds_what_mfd_finds(
    run: Run, detector: Detector, size_hw: tuple[int, int]
) -> None:
    image = picture(*size_hw)
    expected = MaskFrozenDETR.from_pretrained(run.path, detector)(image, min_score=0.0)
    session = InPyTorch(run, detector)
    compare(open_script(SCRIPT.parent).find(session, image, min_score=0.0), expected)


@pytest.mark.parametrize(
    "how",
    [
        Preprocessing(),
        Preprocessing(40, 64, multiple_of=16),
        Preprocessing(40, 2000),
        Preprocessing(size_hw=(50, 30), mean=(0, 0, 0), std=(1, 1, 1)),
    ],
)
@pytest.mark.parametrize("size_hw", [(48, 64), (95, 61), (40, 301), (700, 3), (40, 40)])
def test_script_resizes_and_normalises_as_mfd_does(
    how: Preprocessing, size_hw: tuple[int, int]
) -> None:
    image = picture(*size_hw)
    facts = {**asdict(how), "longer_side": how.max_side}
    found = open_script(SCRIPT.parent).pixels(image, facts)
    assert torch.equal(torch.from_numpy(found.copy()), prepare_image(image, how).pixels)


@pytest.mark.slow
def test_exported_model_finds_what_mfd_finds(exported: Path, run: Run, detector: Detector) -> None:
    image = picture(95, 61)
    expected = MaskFrozenDETR.from_pretrained(run.path, detector)(image, min_score=0.0)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    compare(open_script(exported).find(session, image, min_score=0.0), expected)


def test_exported_files_have_standard_operators_alone(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if o.domain == ""] == [18]
    assert {node.domain for node in model.graph.node} == {""}
    found = {node.op_type for node in model.graph.node}
    assert "Gather" in found
    assert not {"GridSample", "RoiAlign", "SequenceAt", "If", "Loop"} & found
    assert not model.functions


def test_exported_sizes_are_open(exported: Path) -> None:
    graph = onnx.load(exported / "model.onnx").graph
    sizes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert sizes["images"] == ["images", 3, "height", "width"]
    assert sizes["image_hw"] == [2]
    assert sizes["masks"] == ["images", 15, 8, 8]
    assert sizes["boxes"] == ["images", 15, 4]


def test_exported_script_needs_neither_torch_nor_mfd(exported: Path, tmp_path: Path) -> None:
    picture(45, 70).save(tmp_path / "street.png")
    blocked = "import sys; sys.modules.update(dict.fromkeys(['torch', 'mfd', 'onnx', 'scipy']));"
    script = exported / "predict.py"
    code = (
        f"{blocked} import runpy; sys.argv = [{str(script)!r}, {str(tmp_path / 'street.png')!r}];"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines
    assert {line["category"] for line in lines} <= set(NAMES.values())
    with Image.open(tmp_path / "street.png.masks.png") as drawn:
        assert drawn.size == (70, 45)


def features_of(size_hw: tuple[int, int], images: int, queries: int) -> tuple[Any, ...]:
    """Arguments of a head for the tiny detector."""
    height, width = size_hw
    maps = [torch.randn(images, -(-height // s), -(-width // s), n) for s, n in ((8, 8), (16, 8))]
    c1 = torch.randn(images, -(-height // 4), -(-width // 4), 6)
    content = torch.randn(images, queries, 8)
    return content, torch.rand(images, queries, 4), torch.tensor(size_hw), maps, c1


def test_programs_give_what_the_modules_give_at_every_size(
    exported: Path, run: Run, detector: Detector, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    head, hw = run.load_head(), torch.tensor
    calls = {
        "head": [features_of((60, 91), 1, 4), features_of((33, 47), 3, 9)],
        "model": [
            (torch.randn(1, 3, 48, 64), hw([40, 51])),
            (torch.randn(3, 3, 96, 32), hw([96, 32])),
        ],
    }
    torch.save(calls, tmp_path / "calls.pt")
    code = """
import sys, torch
sys.modules["mfd"] = None
folder, work = sys.argv[1:]
found = {
    name: [torch.export.load(f"{folder}/{name}.pt2").module()(*a) for a in arguments]
    for name, arguments in torch.load(f"{work}/calls.pt").items()
}
torch.save(found, f"{work}/found.pt")
"""
    command = [sys.executable, "-c", code, str(exported), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt")
    modules = {"head": head_part(head).module, "model": image_part(detector, head).module}
    for name, module in modules.items():
        for arguments, answers in zip(calls[name], found[name], strict=True):
            with torch.no_grad():
                expected = module(*arguments)
            for ours, theirs in zip(answers, expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_files_are_compared_on_what_evaluation_computes(run: Run, detector: Detector) -> None:
    image = prepare_image(picture(48, 64), detector.spec.preprocessing)
    (features,) = detect(detector, [image], [0])
    head = run.load_head()
    part = head_part(head, [features])
    with torch.no_grad():
        masks, quality, frames = part.module(*part.samples[0])
    chosen = select_detections(features, head.spec, head.spec.max_detections)
    (expected,) = predict_masks(head, collate_candidates([features], [chosen]), [chosen])
    torch.testing.assert_close(masks[0], expected.maps)
    of_pairs = quality[0][chosen.query_row, chosen.columns]
    torch.testing.assert_close(of_pairs, expected.quality)
    in_pixels = frames[0].double() * torch.tensor([64, 48] * 2)
    torch.testing.assert_close(in_pixels, expected.frames_xyxy)
    pixels, (height, width) = image_part(detector, head, [image]).samples[0]
    assert torch.equal(pixels[0, :, :height, :width], image.pixels)
    assert torch.equal(pixels[1, :, :height, :width], image.pixels.flip(2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampling_ratio": 0}, "train with sampling_ratio=2"),
        (
            {"roi_align": False, "box_layers": 0, "mask_scoring": False,
             "query_ffn": False, "query_b2o": False},
            "without RoIAlign",
        ),
    ],
)  # fmt: skip
def test_head_of_no_fixed_form_is_refused(
    detector: Detector, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        head_part(MaskHead(replace(HEAD, **changes), detector.spec))


def test_detector_with_queries_that_attend_to_one_another_is_refused(detector: Detector) -> None:
    head = MaskHead(HeadConfig(box_dim=8, roi_size=8, query_o2o=True), detector.spec)
    head_part(head)
    with pytest.raises(ExportError, match="query_o2o"):
        image_part(detector, head)
