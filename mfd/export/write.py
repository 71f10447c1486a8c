"""The folder of an export: checked files, and a script that runs them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import mfd
from mfd.config import ExportFormat, ExportParts
from mfd.detectors import Detector, ImageFeatures, detect, padding_step
from mfd.errors import ExportError
from mfd.export.check import check_agreement
from mfd.export.modules import Detections, Masks
from mfd.export.onnx import OPSET, check_onnx_installed, run_onnx, to_onnx
from mfd.export.parts import Part, head_part, image_part
from mfd.export.program import run_bytes, to_bytes, to_program
from mfd.files import write_atomically
from mfd.headtrain import Run, threshold_of
from mfd.images import LoadedImage

SUFFIX = {"onnx": "onnx", "torch": "pt2"}
SCRIPT = Path(__file__).with_name("predict.py")


def write_export(
    run: Run,
    detector: Detector | None,
    folder: Path,
    kind: ExportFormat = "onnx",
    parts: ExportParts = "both",
    *,
    images: Sequence[LoadedImage] = (),
    features: Sequence[ImageFeatures] = (),
    say: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Write the head, and the detector with the head in one file; what was written.

    Every file is compared with PyTorch before it gets its name. A detector may contain what cannot
    be exported: of both parts only the head is then written, and `say` is told why.

    Args:
        run: a finished one.
        detector: the one that it was trained for, on the CPU; None for the head alone.
        folder: made if it is not there; files of the same names are replaced.
        images: to compare detector and head on.
        features: of images, to compare the head on; by default the detector's, of `images`.

    Raises:
        ConfigError: the run is unfinished, or packages are missing.
        ExportError: head or detector cannot be exported, or the file computes something else.
        OSError: as the file system does.
    """
    if kind == "onnx":
        check_onnx_installed()
    head = run.load_head()
    facts = facts_of(run)
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # a folder that refuses does so now
    written = []
    if parts != "model":
        if detector is not None and not features:
            features = [detect(detector, [image], [0])[0] for image in images]
        written.append(_write(head_part(head, features), folder, kind, facts, say))
    if parts == "head":
        return written
    assert detector is not None
    try:
        part = image_part(detector, head, images)
        written.append(_write(part, folder, kind, facts, say))
    except ExportError as error:
        if parts == "model":
            raise ExportError(f"{error}; the head alone: --parts head") from error
        say(f"without the detector: {error}")
        return written
    if kind == "onnx":
        write_atomically(folder / SCRIPT.name, SCRIPT.read_bytes())
        written.append(folder / SCRIPT.name)
    return written


def _write(
    part: Part,
    folder: Path,
    kind: ExportFormat,
    facts: dict[str, Any],
    say: Callable[[str], object],
) -> Path:
    """One part as a file that was checked."""
    path, count = folder / f"{part.name}.{SUFFIX[kind]}", len(part.samples)
    say(f"{path.name}: tracing it and comparing it with PyTorch takes a minute or more")
    program = to_program(part)
    content = to_onnx(part, program, facts) if kind == "onnx" else to_bytes(program, facts)
    difference = check_agreement(part, (run_onnx if kind == "onnx" else run_bytes)(content))
    if kind == "onnx" and part.name == "model":
        from mfd.export.picture import with_picture

        content = with_picture(content, facts, max(part.bounds.values(), default=0))
        picture = torch.zeros(33, 50, 3, dtype=torch.uint8)
        run_onnx(content)(picture, torch.zeros(1))  # what was put around it runs
    write_atomically(path, content)
    say(f"{path.name}: differs from PyTorch by at most {difference:.0e} on {count} images")
    return path


def facts_of(run: Run) -> dict[str, Any]:
    """What a reader of the files must know, plain JSON."""
    spec, how = run.spec, run.spec.preprocessing
    names = {**run.config.categories, **spec.names}
    return {
        "mfd": mfd.__version__,
        "opset": OPSET,
        "run": run.name,
        "detector": spec.name,
        "weights_digest": spec.weights_digest,
        "encoder_layer": spec.encoder_layer,
        "category_ids": spec.category_ids,
        "categories": {str(id_): names.get(id_, str(id_)) for id_ in spec.category_ids},
        "preprocessing": {**asdict(how), "longer_side": how.max_side},
        "padding_step": padding_step(spec),
        "threshold": threshold_of(run.config.head),
        "frame_margin": run.config.head.frame_margin,
        "outputs": {"head": Masks._fields, "model": Detections._fields},
    }
