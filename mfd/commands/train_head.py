"""`mfd train-head`: stage two, a mask head trained on a store, or beside the detector at work."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mfd import distributed, headtrain, opening
from mfd.commands.declared import DEVICE, SKIP_INVALID, HeadTraining
from mfd.commands.findings import open_consistent, say_repeated_files
from mfd.commands.material import LiveMaterial, Material, StoredMaterial, open_stored
from mfd.commands.plan import Plan, encoder_layer
from mfd.config import Project
from mfd.console import say
from mfd.errors import ConfigError, DataError
from mfd.files import require_writable
from mfd.headtrain import Augment, Finetune, HeadConfig, TrainConfig
from mfd.memory import keep_freed_memory
from mfd.settings import setting, settings

if TYPE_CHECKING:
    from mfd.coco import CocoDataset
    from mfd.detectors import DetectorSpec

HELP = "Stage two: train the mask head on a store."
PROJECT = ("data", "stores", "runs", "detector", "weights", "encoder_layer", "exif", "file_locks")


@settings
class Options(HeadTraining):
    """Which head is trained, on what, and where it goes."""

    live: bool = setting("Run the detector on every batch, without a store.", default=False)
    augment: Augment | None = setting(
        "With --live: change images at random; none, flip, ms or lsj.", default=None
    )
    finetune: Finetune | None = setting(
        "With --live: also train the detector at lr / 10; none, transformer or all.", default=None
    )
    run: str | None = setting("Name of the run's folder.", default=None)
    resume: bool = setting(
        "Resume --run (default: the latest unfinished run) with its saved settings.", default=False
    )
    skip_invalid: bool = SKIP_INVALID
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Begin a run, or resume one; all processes that a launcher started train the same."""
    keep_freed_memory()
    with distributed.joined(opening.pick_device(options.device)):
        _train(project, options)


def _train(project: Project, options: Options) -> None:
    resumed = distributed.from_first(
        lambda: headtrain.Run.resume(project.runs, options.run).path if options.resume else None
    )
    run = headtrain.Run.open(resumed) if resumed else None
    saved = run.config if run else None
    preset = headtrain.find_preset(options.preset) if options.preset else None
    material = opened(project, options, preset, saved)
    plan = Plan.of(preset, saved, material.spec)
    if run is None:
        stem = plan.name or "head"
        new = distributed.from_first(
            lambda: headtrain.Run.new(project.runs, options.run, stem).path
        )
        run = headtrain.Run(new)
    if distributed.rank() == 0:
        require_writable(run.path)
    plan = plan.changed(options.set, options.augment, options.finetune, options.log)
    if isinstance(material, StoredMaterial):
        plan.require_stored()
    plan.head.check(material.spec)
    for place in material.places:
        say(f"store: {place}")
    say(f"run: {run.path}")
    say(plan.description(material.spec))
    sample = material.validation(validated_on(options, saved), plan)
    plan.require_trainable(material.spec, material.device, validated=sample is not None)
    dataset = open_consistent(project, options)
    say_repeated_files(dataset, material.images)
    dataset = in_categories_of_head(plan.head, project, dataset, material.spec)
    masks = chosen_masks(options, saved, plan.recipe, dataset)
    if masks is not None:
        say(f"masks: of {len(masks.image_ids)} of {len(dataset.images)} images")
    source = material.source(dataset, plan.head, plan.recipe, masks)
    if distributed.rank() == 0:
        material.begun(run)
    done = headtrain.train(
        plan.head,
        plan.recipe,
        source,
        run,
        detector=material.choice,
        preset=plan.name,
        device=material.device,
        resume=options.resume,
        validation=sample and sample(plan.val_images(source)),
        say=say,
    )
    if (summary := material.summary(done)) is not None:
        say(summary)
    say(f"trained: {run.path}/head.safetensors")


def opened(
    project: Project,
    options: Options,
    preset: "headtrain.Preset | None",
    saved: "headtrain.RunConfig | None",
) -> Material:
    """Stores, or the detector where the command, the preset or the resumed run asks for it.

    Raises:
        ConfigError: views and the detector in the loop.
    """
    layer = (saved.spec.encoder_layer or None) if saved else encoder_layer(project, preset)
    device = opening.pick_device(options.device)
    live = (
        options.live
        or (saved is not None and saved.source.get("kind") == "live")
        or (preset is not None and preset.recipe.needs_detector)
    )
    if not live:
        return open_stored(
            project, options.split, options.views, options.store, layer, saved, device
        )
    if options.views is not None:
        raise ConfigError("--views are of stores, which --live does without; leave out one of them")
    choice = saved.detector if saved else replace(project.choice, encoder_layer=layer)
    exif = saved.spec.exif if saved else project.exif
    return LiveMaterial(project, choice, opening.open_detector(choice, device, exif), device)


def in_categories_of_head(
    head: HeadConfig, project: Project, dataset: "CocoDataset", spec: "DetectorSpec"
) -> "CocoDataset":
    """The data set in the detector's categories, or in none for a class-agnostic head.

    Raises:
        DataError: the detector knows none of the objects' classes, or it is not clear which.
    """
    matched = opening.in_categories_of(spec, project, dataset, class_agnostic=head.class_agnostic)
    if matched.nothing_known:
        raise DataError(matched.note)
    return matched.dataset


def validated_on(options: Options, saved: "headtrain.RunConfig | None") -> str | None:
    """What `--val` says or, without it, what a resumed run was validated on before."""
    if options.val is not None or saved is None:
        return options.val
    if not saved.validation:
        return "none"
    path = saved.validation["path"]
    if Path(path).is_dir():
        return path
    if saved.source["kind"] != "live":  # a detector that is trained along needs no store
        say(f"{path}, which the run was validated on, is not there; the val store takes its place")
    return None


def chosen_masks(
    options: HeadTraining,
    saved: "headtrain.RunConfig | None",
    recipe: TrainConfig,
    dataset: "CocoDataset",
) -> "headtrain.MaskImages | None":
    """The images whose masks are trained on, as the run that is resumed drew them; None: all.

    Raises:
        ConfigError: both a share and a list.
    """
    file, fraction = options.mask_images, options.mask_fraction
    if file is not None and fraction is not None:
        raise ConfigError("--mask-fraction draws images and --mask-images lists them; give one")
    if file is not None:
        return headtrain.MaskImages.listed(dataset, file)
    if fraction is None and saved is not None:
        fraction = saved.source.get("masks", {}).get("fraction")
    if fraction is None:
        return None
    return headtrain.MaskImages.drawn(dataset, fraction, recipe.seed)
