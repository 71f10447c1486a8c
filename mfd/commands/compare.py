"""`mfd compare`: two runs on the same images, and whether their difference may be chance."""

from pathlib import Path

from mfd import headtrain
from mfd.commands.declared import ANNOTATIONS, IMAGES, SKIP_INVALID
from mfd.commands.evaluated import open_evaluated
from mfd.config import Project
from mfd.console import out, print_json
from mfd.errors import ConfigError
from mfd.settings import NAME_OR_PATH, setting, settings

HELP = "Compare the AP of two evaluated runs, with confidence intervals."
PROJECT = ("data", "runs")


@settings
class Options:
    """Which two runs, and what they were evaluated on."""

    run: tuple[str, ...] = setting(
        "Names or folders of two runs.",
        default=(),
        extra={**NAME_OR_PATH, "argument": True, "required": True},
    )
    split: str = setting("Split that they were evaluated on.", default="val")
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS
    bootstrap: int = setting("Resamples of the images.", default=1000, ge=1)
    json: bool = setting("Print JSON for machines.", default=False)
    skip_invalid: bool = SKIP_INVALID


def run(project: Project, options: Options) -> None:
    """Match the detections of both evaluations again, and resample the images."""
    if len(options.run) != 2:
        raise ConfigError(
            f"{len(options.run)} runs to compare, expected two: `mfd compare paper-1 paper-2`"
        )
    runs = [headtrain.Run.find(project.runs, name) for name in options.run]
    datasets = open_evaluated(project, runs, options)
    sides = [
        headtrain.Side(run.name, headtrain.latest_evaluation(run, options.split)[0], dataset)
        for run, dataset in zip(runs, datasets, strict=True)
    ]
    comparison = headtrain.compare(*sides, bootstrap=options.bootstrap)
    if options.json:
        print_json(comparison.to_json())
    else:
        out.print(comparison.table())
