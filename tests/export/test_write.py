"""Exported files: what they contain, and that they compute what mfd does, without it."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
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
from mfd.headtrain import (
    HeadConfig,
    MaskHead,
    Run,
    RunConfig,
    collate_candidates,
    select_detections,
)
from mfd.headtrain.inference.masks import predict_masks
from mfd.images import prepare_image
from tests.builders import tiny
from tests.builders.batches import randomise
from tests.builders.runs import HEAD
from tests.export.pictures import assert_found, some_picture

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra `onnx`)")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from mfd.export.picture import without_picture  # noqa: E402  needs onnx

NAMES = {1: "disc", 3: "ring", 90: "hook"}
MARGIN = replace(HEAD, frame_margin=0.2)

SHARING_TRACES = """
from mfd.cli import main
from mfd.export import write
trace, traced = write.to_program, {}
def once(part):
    if part.name not in traced:
        traced[part.name] = trace(part)
    return traced[part.name]
write.to_program = once
"""
"""Runs commands in a process that traces a part once for both formats: it takes 10 seconds."""


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
    each = [[], ["--format", "torch"]]
    calls = [["export", str(run.path), "--out", str(folder), *options] for options in each]
    code = SHARING_TRACES + f"assert not any(map(main, {calls}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder.parent
    )
    assert done.returncode == 0, done.stderr
    assert "compared on generated images, for there are no val images here" in done.stderr
    assert re.search(r"model.onnx: differs from PyTorch by at most .* on 3 images", done.stderr)
    assert f"without mfd and PyTorch: python {folder / 'predict.py'} PICTURE" in done.stderr
    written = ["head.onnx", "model.onnx", "predict.py", "head.pt2", "model.pt2"]
    assert done.stdout.splitlines() == [str(folder / name) for name in written]
    assert sorted(path.name for path in folder.iterdir()) == sorted(written)
    return folder


@pytest.mark.slow
def test_exported_model_finds_what_mfd_finds(exported: Path, run: Run, detector: Detector) -> None:
    picture = some_picture(61, 95)
    expected = MaskFrozenDETR.from_pretrained(run.path, detector)(picture, min_score=0.0)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    inputs = {"image": np.array(picture), "min_score": np.zeros(1, np.float32)}
    names = [output.name for output in session.get_outputs()]
    assert names == ["category_id", "class_score", "mask_quality", "box_xyxy", "mask"]
    assert_found(session.run(None, inputs), expected)
    inputs["min_score"][:] = np.median([instance.class_score for instance in expected])
    shown = [e for e in expected if e.class_score >= inputs["min_score"]]
    assert 0 < len(shown) < len(expected)
    assert_found(session.run(None, inputs), shown)


@pytest.mark.parametrize("name", ["head", "model"])
def test_exported_files_have_standard_operators_alone(exported: Path, name: str) -> None:
    model = onnx.load(exported / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if o.domain == ""] == [18]
    assert {node.domain for node in model.graph.node} == {""}
    found = {node.op_type for node in model.graph.node}
    assert "Gather" in found
    assert not {"GridSample", "RoiAlign", "SequenceAt", "If", "Loop"} & found
    assert not model.functions


def open_sizes(content: bytes) -> dict[str, list[str | int]]:
    graph = onnx.load_from_string(content).graph
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def test_exported_sizes_are_open(exported: Path) -> None:
    content = (exported / "model.onnx").read_bytes()
    pixels = ["picture_height", "picture_width"]
    sizes = open_sizes(content)
    assert sizes["image"] == [*pixels, 3]
    assert sizes["mask"] == ["instances", *pixels]
    assert sizes["box_xyxy"] == ["instances", 4]
    sizes = open_sizes(without_picture(content))
    assert sizes["images"] == ["images", 3, "height", "width"]
    assert sizes["image_hw"] == [2]
    assert sizes["masks"] == ["images", 15, 8, 8]
    assert sizes["boxes"] == ["images", 15, 4]


def features_of(size_hw: tuple[int, int], images: int, queries: int) -> tuple[Any, ...]:
    """Arguments of a head for the tiny detector."""
    height, width = size_hw
    maps = [torch.randn(images, -(-height // s), -(-width // s), n) for s, n in ((8, 8), (16, 8))]
    c1 = torch.randn(images, -(-height // 4), -(-width // 4), 6)
    content = torch.randn(images, queries, 8)
    return content, torch.rand(images, queries, 4), torch.tensor(size_hw), maps, c1


def run_bare(code: str, folder: Path, *arguments: str) -> list[str]:
    """The lines that code prints, having loaded nothing but Python, onnxruntime, numpy, Pillow."""
    code += """
import sys
found = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(*sorted(found), file=sys.stderr)
"""
    command = [sys.executable, "-I", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stderr.split() if not name.startswith("_")}
    # numpy.random's; what older Pillow uses where it is installed, without needing it
    loaded -= {"cython_runtime", "cffi", "defusedxml"}
    assert loaded <= {"onnxruntime", "numpy", "PIL"}
    return done.stdout.splitlines()


def test_script_needs_onnxruntime_numpy_and_pillow_alone(exported: Path, tmp_path: Path) -> None:
    some_picture(45, 70).save(tmp_path / "street.png")
    script = str(exported / "predict.py")
    code = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
    lines = list(map(json.loads, run_bare(code, tmp_path, "street.png")))
    assert lines
    assert {line["category"] for line in lines} <= set(NAMES.values())
    with Image.open(tmp_path / "street.png.masks.png") as drawn:
        assert drawn.size == (70, 45)


def test_head_alone_needs_onnxruntime_and_numpy(exported: Path, run: Run, tmp_path: Path) -> None:
    torch.manual_seed(5)
    *features, maps, c1 = features_of((60, 91), 2, 4)
    arrays = [tensor.numpy() for tensor in (*features, *maps, c1)]
    np.savez(tmp_path / "features.npz", *arrays)
    code = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
arrays = numpy.load("features.npz").values()
inputs = dict(zip([value.name for value in session.get_inputs()], arrays, strict=True))
numpy.savez("found.npz", *session.run(None, inputs))
"""
    run_bare(code, tmp_path, str(exported / "head.onnx"))
    with torch.no_grad():
        expected = head_part(run.load_head()).module(*features, maps, c1)
    for ours, theirs in zip(np.load(tmp_path / "found.npz").values(), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=0, atol=1e-5)


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
    image = prepare_image(some_picture(48, 64), detector.spec.preprocessing)
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
