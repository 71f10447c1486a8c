"""`mfd extract`: stage one, the frozen detector once over a split, its features into a store."""

from mfd import cache, detectors, extract, opening
from mfd.commands.declared import DEVICE, SKIP_INVALID, Extraction
from mfd.commands.findings import open_consistent, say_repeated_files
from mfd.config import Codec, Project
from mfd.console import say
from mfd.errors import ConfigError
from mfd.extract import ExtractConfig
from mfd.files import nearest_folder
from mfd.memory import keep_freed_memory
from mfd.settings import setting, settings
from mfd.text import duration

HELP = "Stage one: run the frozen detector once, store its features."
PROJECT = ("data", "stores", "detector", "weights", "encoder_layer", "exif", "file_locks")


@settings
class Options(ExtractConfig, Extraction):  # the base named last declares the first flags
    """What is extracted, and how it is stored."""

    codec: Codec = setting("Lossless compression codec.", default="none")
    part: str | None = setting(
        "As 1/4: this process makes the first of four parts of the store, others the rest at the "
        "same time (default: all, or what torchrun says).",
        default=None,
    )
    skip_invalid: bool = SKIP_INVALID
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Fill the store of the split, or what is missing in it."""
    keep_freed_memory()
    if options.dtype == "coarse" and options.codec == "none":
        raise ConfigError("--dtype coarse is small only behind a codec; give --codec zstd too")
    part = extract.Part.parse(options.part)
    nearest_folder(project.stores)  # refuses what is none, before all images are hashed
    dataset = open_consistent(project, options)
    if missing := dataset.missing():
        say(
            f"not in {dataset.images_dir} and left out: {len(missing)} of {len(dataset.images)} "
            f"images, the first is {missing[0].file_name}"
        )
    device = opening.pick_device(options.device)
    detector = opening.open_detector(project.choice, device, project.exif)
    opening.in_categories_of(detector.spec, project, dataset)
    precision = detectors.precision_on(device, options.precision)
    if options.precision == "auto" and precision != "float32":
        say(f"precision: {precision}, which this GPU has; --precision float32 for another store")
    digests = extract.image_digests(dataset, project.stores, options.workers)
    identity = extract.store_identity(
        detector.spec,
        dataset,
        digests,
        split=options.split,
        view=options.view,
        profile=options.profile,
        dtype=options.dtype,
        precision=precision,
    )
    say_repeated_files(dataset, identity.images)
    if finished := cache.finished_store(project.stores, identity, options.codec):
        say(f"store: {finished.path}")
        say("complete: nothing was left to do")
        return
    provenance = extract.provenance(project.choice, options, device)
    with cache.StoreWriter.open(
        project.stores, identity, codec=options.codec, provenance=provenance, part=part.number
    ) as writer:
        say(f"store: {writer.path}")
        done = extract.extract(detector, dataset, writer, options, say, part)
    state = "complete" if done.complete else "not complete yet"
    if not done.images:
        say(f"{state}: nothing was left to do")
        return
    took, rate = duration(done.seconds), done.images / done.seconds
    say(f"{state}: {done.images} images in {took}, {rate:.1f} images/s")
