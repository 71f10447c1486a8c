"""`mfd export`: a head, and its detector, as files that run without mfd."""

from pathlib import Path

from mfd import export, headtrain, opening
from mfd.commands.declared import detector_setting, run_setting, weights_setting
from mfd.commands.evaluate import override
from mfd.config import ExportFormat, ExportParts, Project
from mfd.console import print_path, say
from mfd.settings import setting, settings

HELP = "Write a run's head, and its detector with it, as ONNX or torch.export files."
PROJECT = ("runs",)


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
    detector: str | None = detector_setting()
    weights: str | None = weights_setting()


def run(project: Project, options: Options) -> None:
    """Write the files, each compared with PyTorch first."""
    run = headtrain.Run.find(project.runs, options.run)
    detector = None
    if options.parts != "head":
        choice = override(run.config.detector, options.detector, options.weights)
        detector = run.own_detector(opening.open_detector(choice))
    folder = options.out or run.path / "export"
    for path in export.write_export(run, detector, folder, options.format, options.parts, say=say):
        print_path(path)
