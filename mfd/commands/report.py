"""`mfd report`: one HTML page about runs, to look at and to pass on."""

from pathlib import Path

from mfd import headtrain, report
from mfd.commands.declared import ANNOTATIONS, IMAGES, SKIP_INVALID
from mfd.commands.evaluated import open_evaluated
from mfd.config import Project
from mfd.console import print_path, say
from mfd.files import disk_errors
from mfd.settings import NAME_OR_PATH, setting, settings

HELP = "Write an HTML page about runs: figures, curves, images."
PROJECT = ("data", "runs")


@settings
class Options:
    """Which runs, and where the page goes."""

    run: tuple[str, ...] = setting(
        "Names or folders of runs (default: the latest finished one); the first is shown in full.",
        default=(),
        extra={**NAME_OR_PATH, "argument": True},
    )
    split: str = setting("Split that they were evaluated on.", default="val")
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS
    out: Path = setting("The page.", default=Path("report.html"))
    min_score: float = headtrain.MIN_SCORE_SETTING
    bootstrap: int = setting(
        "Resamples of the images for the intervals of differences between runs; 0: none.",
        default=200,
        ge=0,
    )
    skip_invalid: bool = SKIP_INVALID


def run(project: Project, options: Options) -> None:
    """Read the runs' evaluations and write the page."""
    names = options.run or (None,)
    runs = [headtrain.Run.find(project.runs, name) for name in names]
    datasets = open_evaluated(project, runs, options)
    with disk_errors(options.out, "rerun the command"):
        report.write_report(
            options.out,
            runs,
            datasets,
            options.split,
            min_score=options.min_score,
            bootstrap=options.bootstrap,
            say=say,
        )
    print_path(options.out)
