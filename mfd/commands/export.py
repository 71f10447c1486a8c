"""`mfd export`: a head, and its detector, as files that run without mfd."""

from pathlib import Path
from typing import TYPE_CHECKING

from mfd import demo, export, headtrain, opening
from mfd.commands.declared import DETECTOR, WEIGHTS, run_setting
from mfd.commands.evaluate import override
from mfd.config import ExportFormat, ExportParts, Project
from mfd.console import print_path, say
from mfd.errors import DataError, StoreError
from mfd.files import disk_errors
from mfd.settings import setting, settings

if TYPE_CHECKING:
    from mfd.detectors import DetectorSpec, ImageFeatures
    from mfd.images import LoadedImage

HELP = "Write a run's head, and its detector with it, as ONNX or torch.export files."
PROJECT = ("data", "stores", "runs")
COMPARED = 3
"""Images on which files are compared with PyTorch."""


@settings
class Options:
    """What is exported, and how."""

    run: str | None = run_setting(argument=True)
    format: ExportFormat = setting("onnx, or torch for files of torch.export.", default="onnx")
    out: Path | None = setting("Folder of the files (default: `export` in the run).", default=None)
    parts: ExportParts = setting(
        "head: from the detector's outputs to masks; model: detector and head; both: two files.",
        default="both",
    )
    detector: str | None = DETECTOR
    weights: str | None = WEIGHTS


def run(project: Project, options: Options) -> None:
    """Write the files, each compared with PyTorch first."""
    run = headtrain.Run.find(project.runs, options.run)
    folder = options.out or run.path / "export"
    features = _stored_features(project, run) if options.parts == "head" else []
    detector, images = None, []
    if not features:
        choice = override(project, run.config.detector, options.detector, options.weights)
        detector = run.own_detector(opening.open_detector(choice))
        images = _images(project, detector.spec)
    with disk_errors(folder, "rerun the command"):
        written = export.write_export(
            run,
            detector,
            folder,
            options.format,
            options.parts,
            images=images,
            features=features,
            say=say,
        )
    for path in written:
        print_path(path)
    if (script := folder / "predict.py") in written:
        say(f"without mfd and PyTorch: python {script} PICTURE")


def _images(project: Project, spec: "DetectorSpec") -> "list[LoadedImage]":
    """Some of the val images, or generated ones where these are not at hand, which is said."""
    import numpy as np
    from PIL import Image

    from mfd.coco import sample_evenly
    from mfd.images import load_image, prepare_image

    try:
        dataset = opening.open_dataset(project, "val", skip_invalid=True).present()
    except DataError as error:
        say(f"compared on generated images, for there are no val images here: {error}")
        random = np.random.default_rng(0)
        scenes = [Image.fromarray(demo.random_scene(random).image) for _ in range(COMPARED)]
        return [prepare_image(scene, spec.preprocessing) for scene in scenes]
    paths = map(dataset.path, sample_evenly(dataset.images, COMPARED))
    return [load_image(path, spec.preprocessing) for path in paths]


def _stored_features(project: Project, run: "headtrain.Run") -> "list[ImageFeatures]":
    """Of some val images, where a store of the run's detector has all that its head reads."""
    try:
        store = opening.open_store_of(project, run.config, "val")
    except StoreError:
        return []
    if run.config.head.use_c1 and not store.has_c1:
        return []
    return [store[i * len(store) // COMPARED] for i in range(min(COMPARED, len(store)))]
