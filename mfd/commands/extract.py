"""`mfd extract`: stage one, the frozen detector once over a split, its features into a store."""

from pathlib import Path

from mfd import cache, coco, extract, opening
from mfd.commands.options import device_setting
from mfd.config import Codec, Profile, Project, StoredDtype
from mfd.console import say
from mfd.extract import ExtractConfig
from mfd.settings import setting, settings
from mfd.text import duration

HELP = "Stage one: run the frozen detector once and store its features."
PROJECT = ("data", "stores", "detector", "weights", "encoder_layer")


@settings
class Options(ExtractConfig):
    """What is extracted, and how it is stored."""

    split: str = setting("train or val; any name with --images and --annotations.", default="train")
    images: Path | None = setting("Image folder of a custom dataset.", default=None)
    annotations: Path | None = setting(
        "COCO-format annotation file of a custom dataset.", default=None
    )
    profile: Profile = setting(
        "full: encoder maps and C1; lite: C1 is recomputed when needed.", default="full"
    )
    dtype: StoredDtype = setting("Stored element type of the maps.", default="float16")
    codec: Codec = setting("Lossless compression codec.", default="none")
    skip_invalid: bool = setting("Continue without annotations that cannot be used.", default=False)
    device: str = device_setting()


def run(project: Project, options: Options) -> None:
    """Fill the store of the split, or what is missing in it."""
    dataset = opening.open_dataset(
        project,
        options.split,
        options.images,
        options.annotations,
        need_masks=False,
        skip_invalid=options.skip_invalid,
    )
    coco.require_consistent(dataset)
    if missing := dataset.missing():
        say(
            f"not in {dataset.images_dir} and left out: {len(missing)} of {len(dataset.images)} "
            f"images, the first is {missing[0].file_name}"
        )
    device = opening.pick_device(options.device)
    detector = opening.open_detector(project.choice, device)
    digests = extract.image_digests(dataset, project.stores, options.workers)
    identity = extract.store_identity(
        detector.spec,
        dataset,
        digests,
        split=options.split,
        profile=options.profile,
        dtype=options.dtype,
        precision=options.precision,
    )
    provenance = extract.provenance(project.choice, options, device)
    with cache.StoreWriter.open(
        project.stores, identity, codec=options.codec, provenance=provenance
    ) as writer:
        say(f"store: {writer.path}")
        done = extract.extract(detector, dataset, writer, options, say)
    if not done.images:
        say("complete: nothing was left to do")
        return
    took, rate = duration(done.seconds), done.images / done.seconds
    say(f"complete: {done.images} images in {took}, {rate:.1f} images/s")
