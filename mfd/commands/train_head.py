"""`mfd train-head`: stage two, a mask head trained on a store, or beside the detector at work."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mfd import cache, coco, headtrain, opening
from mfd.commands.declared import (
    annotations_setting,
    device_setting,
    images_setting,
    skip_invalid_setting,
    store_setting,
)
from mfd.commands.findings import say_notable
from mfd.config import Project
from mfd.console import say
from mfd.errors import ConfigError, DataError
from mfd.headtrain import Augment, Finetune, HeadConfig, TrainConfig
from mfd.memory import keep_freed_memory
from mfd.settings import replace_from_texts, setting, settings
from mfd.text import duration, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from mfd.coco import CocoDataset
    from mfd.config import DetectorChoice
    from mfd.detectors import DetectorSpec

HELP = "Stage two: train the mask head on a store; the detector does not run, except with --live."
PROJECT = ("data", "stores", "runs", "detector", "weights", "encoder_layer", "exif", "file_locks")


@settings
class Options:
    """Which head is trained, on what, and where it goes."""

    preset: str | None = setting(
        "A head of the paper; see `mfd presets`. Default: paper, or focalnet-2-2 for detectors "
        "without a stage-1 map that is finer than their encoder's.",
        default=None,
    )
    set: tuple[str, ...] = setting(
        "field=value of head or recipe; repeatable. `mfd presets --settings` lists the fields.",
        default=(),
    )
    split: str = setting("Split of the store and its annotations.", default="train")
    images: Path | None = images_setting()
    annotations: Path | None = annotations_setting()
    val: str | None = setting(
        "Split or store to validate on after every epoch; none: without (default: the val store, "
        "if there is one).",
        default=None,
    )
    store: Path | None = store_setting()
    views: str | None = setting(
        "Views to train on, as base,flip,ms:0, extracted by `mfd extract --view`; each epoch draws "
        "one of them for every image (default: base).",
        default=None,
    )
    mask_fraction: float | None = setting(
        "Share of the images whose masks are trained on, drawn by the seed; a larger share holds a "
        "smaller one (default: all).",
        default=None,
        gt=0,
        le=1,
    )
    mask_images: Path | None = setting(
        "Text file of the images whose masks are trained on, an id or file name on each line.",
        default=None,
    )
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
    skip_invalid: bool = skip_invalid_setting()
    device: str = device_setting()


def run(project: Project, options: Options) -> None:
    """Begin a run, or resume one."""
    keep_freed_memory()
    run = headtrain.Run.resume(project.runs, options.run) if options.resume else None
    saved = run.config if run else None
    preset = headtrain.find_preset(options.preset) if options.preset else None
    layer = (saved.spec.encoder_layer or None) if saved else encoder_layer(project, preset)
    live = options.live or (saved is not None and saved.source.get("kind") == "live")
    live = live or (preset is not None and preset.recipe.needs_detector)
    if live and options.views is not None:
        raise ConfigError("--views are of stores, which --live does without; leave out one of them")
    device = opening.pick_device(options.device)
    if live:
        choice = saved.detector if saved else replace(project.choice, encoder_layer=layer)
        exif = saved.spec.exif if saved else project.exif
        detector = opening.open_detector(choice, device, exif)
        spec = detector.spec
    else:
        names = None if options.views is None else options.views.split(",")
        source_before = saved.source if saved else {}
        stores = opening.open_views(
            project, options.split, names, options.store, layer, source_before
        )
        store = stores[0]
        choice = opening.choice_of(project, store)
        spec = store.spec
    name: str | None
    if run is None or saved is None:
        own = preset or headtrain.default_preset(spec)
        run = headtrain.Run.new(project.runs, options.run, own.name)
        name, head, recipe = own.name, own.config, own.recipe
    else:
        name, recipe = options.preset or saved.preset, saved.train or TrainConfig()
        head = preset.config if preset else saved.head
    head, recipe = changed(head, recipe, options.set)
    recipe = replace(
        recipe,
        augment=options.augment or recipe.augment,
        finetune=options.finetune or recipe.finetune,
    )
    for field in ("augment", "finetune"):
        if not live and (value := getattr(recipe, field)) != "none":
            raise ConfigError(
                f"{field}={value} needs the detector in the loop, and on a store it does not run; "
                "add --live, or leave it out"
            )
    dataset = opening.open_dataset(
        project,
        options.split,
        options.images,
        options.annotations,
        skip_invalid=options.skip_invalid,
    )
    say_notable(coco.require_consistent(dataset))
    if not live:
        say_notable(coco.repeated_files(dataset, {i.image_id: i.sha256 for i in store.images}))
    head.check(spec)  # before targets are built
    for where in ["none, the detector runs on every batch"] if live else [s.path for s in stores]:
        say(f"store: {where}")
    say(f"run: {run.path}")
    say(description(name, head, spec, chosen=preset is None and saved is None))
    dataset = in_categories_of_head(head, project, dataset, spec)
    masks = chosen_masks(options, saved, recipe, dataset)
    if masks is not None:
        say(f"masks: of {len(masks.image_ids)} of {len(dataset.images)} images")
    source: headtrain.BatchSource
    if live:
        shown = dataset if masks is None else masks.only(dataset)
        source = headtrain.LiveSource(detector, choice, shown, head, recipe)
    else:
        source = stored_source(project, stores, choice, dataset, head, recipe, device, masks)
        for each in stores:
            cache.add_reference(each.path, run.path, project.stores)
    images = recipe.val_images or headtrain.sample_size(source.images_per_epoch)
    if source.tuned is not None:
        validation = opening.open_live_validation(
            project, options.val, detector, images=images, say=say
        )
    else:
        validation = opening.open_validation(
            project, options.val, choice, source.spec, None if live else store, device,
            images=images, head=head, say=say,
        )  # fmt: skip
    done = headtrain.train(
        head, recipe, source, run, detector=choice, preset=name, device=device,
        resume=options.resume, validation=validation, say=say,
    )  # fmt: skip
    if live:
        say(
            f"the detector took {duration(done.progress.detector_seconds)} of "
            f"{duration(done.progress.seconds)}"
        )
    say(f"trained: {run.path}/head.safetensors")


def in_categories_of_head(
    head: HeadConfig, project: Project, dataset: "CocoDataset", spec: "DetectorSpec"
) -> "CocoDataset":
    """The data set in the detector's categories, or in none for a class-agnostic head.

    Raises:
        DataError: the detector knows none of the objects' classes, or it is not clear which.
    """
    if head.class_agnostic:
        return dataset.without_categories()
    matched = opening.in_categories_of(spec, project, dataset)
    if matched.nothing_known:
        raise DataError(matched.note)
    return matched.dataset


def stored_source(
    project: Project,
    stores: "Sequence[cache.Store]",
    choice: "DetectorChoice",
    dataset: "CocoDataset",
    head: HeadConfig,
    recipe: TrainConfig,
    device: "torch.device",
    masks: "headtrain.MaskImages | None",
) -> "headtrain.StoredSource":
    """Batches of the stores of all views and their targets, which are built if need be."""
    views = []
    for store in stores:
        targets = headtrain.build_targets(store, dataset, project.stores, say=say)
        say(f"{store.identity.view}: {targets.total}" if len(stores) > 1 else str(targets.total))
        features = opening.complete(store, dataset, choice, device, needed=head.use_c1)
        views.append((features, targets))
    return headtrain.StoredSource(
        *views[0], head, recipe,
        others=views[1:], masks=masks, pin_memory=device.type == "cuda",
    )  # fmt: skip


def chosen_masks(
    options: Options,
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


def description(name: str | None, head: HeadConfig, spec: "DetectorSpec", *, chosen: bool) -> str:
    """Which head it is, why if it was chosen for the detector, and its size."""
    size_hw = spec.preprocessing.size_hw or headtrain.IMAGE_HW
    size = headtrain.head_size(head, spec, size_hw)
    why = f" (without C1: {spec.name} has none finer than its encoder's maps)"
    return (
        f"head: {name or 'without a name'}{why if chosen and not head.use_c1 else ''}, "
        f"{size.parameters / 1e6:.2f} M parameters, {size.macs / 1e9:.3g} G multiply-accumulates "
        f"on {size_hw[0]} x {size_hw[1]} pixels with 100 boxes"
    )


def encoder_layer(project: Project, preset: "headtrain.Preset | None") -> int | None:
    """The encoder layer that the head is trained on; None: whichever the store has.

    Raises:
        ConfigError: preset and project name different ones.
    """
    wanted = project.encoder_layer
    if preset is None:
        return wanted
    named = preset.encoder_layer
    if named is not None and wanted is not None and named != wanted:
        raise ConfigError(
            f"preset {preset.name} is about encoder layer {named}, encoder_layer is {wanted}; "
            "leave one of them out"
        )
    return wanted if named is None else named


def changed(
    head: HeadConfig, recipe: TrainConfig, texts: tuple[str, ...]
) -> tuple[HeadConfig, TrainConfig]:
    """Head and recipe with `field=value` texts applied, each to the one that has the field.

    Raises:
        ConfigError: a text that is not field=value, an unknown field or an impossible value.
    """
    of_head, of_recipe = ({field.name for field in fields(part)} for part in (head, recipe))
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f"--set takes field=value, found {text!r}")
        if name not in of_head | of_recipe:
            raise ConfigError(f"there is no setting {name!r}; {suggest(name, of_head | of_recipe)}")
        values[name] = value
    return (
        head.changed({k: v for k, v in values.items() if k in of_head}),
        replace_from_texts(recipe, {k: v for k, v in values.items() if k in of_recipe}),
    )
