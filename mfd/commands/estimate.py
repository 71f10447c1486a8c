"""`mfd estimate`: what an extraction will need, before anything is written."""

from pathlib import Path

from mfd import extract, opening
from mfd.commands.options import device_setting
from mfd.config import Profile, Project, StoredDtype
from mfd.console import out
from mfd.extract import ExtractConfig
from mfd.settings import setting, settings
from mfd.text import duration, size

HELP = "Estimate disk space and hours of `mfd extract`; writes nothing."
PROJECT = ("data", "detector", "weights", "encoder_layer")


@settings
class Options(ExtractConfig):
    """The extraction that is meant."""

    split: str = setting("train or val; any name with --images and --annotations.", default="train")
    images: Path | None = setting("Image folder of a custom dataset.", default=None)
    annotations: Path | None = setting(
        "COCO-format annotation file of a custom dataset.", default=None
    )
    profile: Profile = setting(
        "full: encoder maps and C1; lite: C1 is recomputed when needed.", default="full"
    )
    dtype: StoredDtype = setting("Stored element type of the maps.", default="float16")
    measure: bool = setting("Time the detector on a few images.", default=True)
    device: str = device_setting()


def run(project: Project, options: Options) -> None:
    """Print bytes and, if measured, hours."""
    dataset = opening.open_dataset(
        project, options.split, options.images, options.annotations, need_masks=False
    ).present()
    detector = opening.open_detector(project.choice, opening.pick_device(options.device))
    rate = extract.measure_rate(detector, dataset, options) if options.measure else None
    found = extract.estimate(dataset, detector.spec, options.profile, options.dtype, rate)
    out.print(
        f"{found.images} images, {size(found.num_bytes)} on disk, "
        f"{size(found.bytes_per_image)} an image"
    )
    if found.hours is not None:
        out.print(f"{duration(3600 * found.hours)} at {found.images_per_second:.1f} images/s")
