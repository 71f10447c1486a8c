"""`mfd estimate`: what an extraction will need, before anything is written."""

from collections.abc import Mapping

from rich.table import Table

from mfd import cache, extract, opening
from mfd.commands.declared import DEVICE, Extraction
from mfd.config import Profile, Project, StoredDtype
from mfd.console import out, say
from mfd.errors import DiskError
from mfd.extract import ExtractConfig
from mfd.settings import setting, settings
from mfd.text import duration, size

HELP = "Estimate disk space and hours of `mfd extract`."
PROJECT = ("data", "stores", "detector", "weights", "encoder_layer", "exif")


@settings
class Options(ExtractConfig, Extraction):  # the base named last declares the first flags
    """The extraction that is meant."""

    measure: bool = setting(
        "Time the detector on a few images, and the disk of the stores on a file that goes again.",
        default=True,
    )
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Print bytes and, if measured, hours."""
    dataset = opening.open_dataset(
        project, options.split, options.images, options.annotations,
        skip_invalid=True,  # the images alone are looked at
    ).present()  # fmt: skip
    device = opening.pick_device(options.device)
    detector = opening.open_detector(project.choice, device, project.exif)
    profile, dtype, rate = options.profile, options.dtype, None
    if options.measure:
        rate = extract.measure_rate(detector, dataset, options, profile=profile, dtype=dtype)
    found = extract.estimate(dataset, detector.spec, profile, dtype, rate, options.view)
    out.print(
        f"{found.images} images, {size(found.num_bytes)} on disk, "
        f"{size(found.bytes_per_image)} an image"
    )
    if found.hours is not None:
        out.print(f"{duration(3600 * found.hours)} at {found.images_per_second:.1f} images/s")
    if options.measure:
        try:
            disk = cache.probe_disk(project.stores)
        except DiskError as error:
            say(str(error))
            return
        kinds = extract.store_sizes(dataset, detector, options.view)
        out.print(disk_table(kinds, disk))
        fitting = [kind for kind, num_bytes in kinds.items() if num_bytes <= disk.free]
        if fitting:
            profile, dtype = fitting[0]
            out.print(f"the most exact that fits: --profile {profile} --dtype {dtype}")
        else:
            out.print("none of them fits: make room, or choose --stores on another disk")


def disk_table(kinds: Mapping[tuple[Profile, StoredDtype], int], disk: cache.DiskSpeed) -> Table:
    """A row for each kind of store: its size, whether it fits, and how long the disk takes."""
    table = Table(
        "profile",
        "dtype",
        caption=f"the disk writes {size(disk.write)} and reads {size(disk.read)} a second and has "
        f"{size(disk.free)} free; what stays in memory is read from there in later epochs; smaller "
        "still are int3 and coarse with --codec zstd, at some 2.5 and 1.75 bits a value",
    )
    for name in ("size", "fits", "written in", "an epoch read in"):
        table.add_column(name, justify="right")
    for (profile, dtype), num_bytes in kinds.items():
        fits = "yes" if num_bytes <= disk.free else "no"
        times = (duration(num_bytes / rate) for rate in (disk.write, disk.read))
        table.add_row(profile, dtype, size(num_bytes), fits, *times)
    return table
