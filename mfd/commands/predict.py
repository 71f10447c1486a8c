"""`mfd predict`: masks of images, drawn or as data for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING

from mfd import headtrain, opening
from mfd.commands.declared import DETECTOR, DEVICE, WEIGHTS, run_setting
from mfd.commands.predictor import open_predictor
from mfd.commands.videos import chosen_videos, predict_videos
from mfd.config import Project
from mfd.console import print_path, say
from mfd.errors import ConfigError, DataError
from mfd.files import disk_errors
from mfd.headtrain import TOLERANCE, Format
from mfd.settings import setting, settings

if TYPE_CHECKING:
    from mfd.coco import CocoDataset

HELP = "Find masks: draw them, or write them as COCO, YOLO, labelme or PNG."
PROJECT = ("data", "runs")


@settings
class Options:
    """What is predicted, and what is shown of it."""

    images: tuple[Path, ...] = setting(
        "Image files, folders of them, or videos.", default=(), extra={"argument": True}
    )
    camera: str | None = setting(
        "A camera in their place: its number, or the system's name for it.", default=None
    )
    run: str | None = run_setting()
    format: Format = setting(
        "pictures and a list; coco, yolo or labelme: a data set with polygons; png: label maps "
        "and cut-outs.",
        default="pictures",
    )
    out: Path | None = setting(
        "Folder of what is written (default: predictions, or predictions-FORMAT); of a video also "
        "the new one's name.",
        default=None,
    )
    min_score: float = headtrain.MIN_SCORE_SETTING
    min_quality: float = headtrain.MIN_QUALITY_SETTING
    recursive: bool = setting("Also take the images of subfolders.", default=False)
    all_categories: bool = setting(
        "Show a query once for each category above the minimum, not only for its best.",
        default=False,
    )
    batch_size: int = setting("Images that pass the detector together.", default=1, ge=1)
    tolerance: float = setting(
        "Pixels by which corners that polygons do without may lie off them; 0: exact masks.",
        default=TOLERANCE,
        ge=0,
    )
    scale: int = setting("Magnify pictures by this factor.", default=1, ge=1, le=8)
    split: str | None = setting("Take image ids from the annotations of this split.", default=None)
    annotations: Path | None = setting("Take image ids from this COCO file.", default=None)
    detector: str | None = DETECTOR
    weights: str | None = WEIGHTS
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Draw every image; files that are not images are reported and skipped."""
    videos = chosen_videos(options.images, options.camera)
    files = [] if videos else headtrain.image_files(options.images, recursive=options.recursive)
    if videos:
        refuse_for_videos(options)
    predictor = open_predictor(
        project, options.run, options.detector, options.weights, options.device
    )
    if videos:
        with disk_errors(options.out or Path("predictions"), "rerun the command"):
            predict_videos(
                predictor, videos, options.out, shown(options), options.batch_size, options.scale
            )
        return
    folder = options.out or Path(default_folder(options.format))
    with disk_errors(folder, "rerun the command; pictures that are there are whole"):
        written = headtrain.predict_files(
            predictor,
            files,
            folder,
            shown(options),
            format=options.format,
            image_ids=headtrain.file_ids(files, annotated(project, options)),
            batch_size=options.batch_size,
            scale=options.scale,
            tolerance=options.tolerance,
            say=say,
        )
    for path in written.written:
        print_path(path)
    say(written.summary(options.min_score))
    if written.faults:
        raise DataError(
            f"{len(written.faults)} of {len(files)} files could not be used; they are named above"
        )


def shown(options: Options) -> headtrain.Shown:
    """Which instances are asked for."""
    return headtrain.Shown(
        min_score=options.min_score,
        min_quality=options.min_quality,
        categories_per_query="all" if options.all_categories else "best",
    )


def refuse_for_videos(options: Options) -> None:
    """Nothing, unless something is asked for that only images have.

    Raises:
        ConfigError: names it.
    """
    asked = {
        "--format": options.format != "pictures",
        "--split": options.split is not None,
        "--annotations": options.annotations is not None,
    }
    for flag in (name for name, given in asked.items() if given):
        raise ConfigError(
            f"{flag} is for images; masks of a video are drawn into another, and listed in a file "
            "beside it; leave it out"
        )


def default_folder(format: Format) -> str:
    """Where a format goes if nothing is said; each has a folder of its own."""
    return "predictions" if format == "pictures" else f"predictions-{format}"


def annotated(project: Project, options: Options) -> "CocoDataset | None":
    """The data set whose image ids are taken, if one is given."""
    if options.split is None and options.annotations is None:
        return None
    first = options.images[0]
    folder = first if first.is_dir() else first.parent
    return opening.open_dataset(
        project, options.split or "val",
        folder if options.annotations is not None else None, options.annotations,
        skip_invalid=True,  # the images' ids alone are looked at
    )  # fmt: skip
