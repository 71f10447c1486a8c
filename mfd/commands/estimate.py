"""`mfd estimate`: what an extraction will need, before anything is written."""

from mfd import extract, opening
from mfd.commands.declared import Extraction, device_setting
from mfd.config import Project
from mfd.console import out
from mfd.extract import ExtractConfig
from mfd.settings import setting, settings
from mfd.text import duration, size

HELP = "Estimate disk space and hours of `mfd extract`."
PROJECT = ("data", "detector", "weights", "encoder_layer", "exif")


@settings
class Options(ExtractConfig, Extraction):  # the base named last declares the first flags
    """The extraction that is meant."""

    measure: bool = setting("Time the detector on a few images.", default=True)
    device: str = device_setting()


def run(project: Project, options: Options) -> None:
    """Print bytes and, if measured, hours."""
    dataset = opening.open_dataset(
        project, options.split, options.images, options.annotations,
        skip_invalid=True,  # the images alone are looked at
    ).present()  # fmt: skip
    device = opening.pick_device(options.device)
    detector = opening.open_detector(project.choice, device, project.exif)
    rate = extract.measure_rate(detector, dataset, options) if options.measure else None
    found = extract.estimate(
        dataset, detector.spec, options.profile, options.dtype, rate, options.view
    )
    out.print(
        f"{found.images} images, {size(found.num_bytes)} on disk, "
        f"{size(found.bytes_per_image)} an image"
    )
    if found.hours is not None:
        out.print(f"{duration(3600 * found.hours)} at {found.images_per_second:.1f} images/s")
