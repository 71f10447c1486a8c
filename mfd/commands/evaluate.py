"""`mfd evaluate`: COCO AP of a trained head's masks and of its detector's boxes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mfd import cache, distributed, headtrain, opening
from mfd.commands.declared import (
    ANNOTATIONS,
    DETECTOR,
    DEVICE,
    IMAGES,
    SKIP_INVALID,
    STORE,
    WEIGHTS,
    run_setting,
)
from mfd.commands.findings import open_named, say_repeated_files
from mfd.config import DetectorChoice, Evaluator, Project
from mfd.console import out, print_json, say
from mfd.errors import ConfigError
from mfd.files import disk_errors
from mfd.memory import keep_freed_memory
from mfd.settings import NAME_OR_PATH, setting, settings

if TYPE_CHECKING:
    import torch

HELP = "Print COCO AP of boxes and masks, and write the results files."
PROJECT = ("data", "stores", "runs", "exif")


@settings
class Options:
    """What is evaluated on what."""

    run: str | None = run_setting(argument=True)
    split: str = setting("Split of the store and its annotations.", default="val")
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS
    store: Path | None = STORE
    baselines: bool = setting(
        "Also evaluate two baselines: boxes as masks, and the untrained head.", default=False
    )
    oracles: bool = setting(
        "Also evaluate with boxes, classes, masks or ranking taken from the ground truth.",
        default=False,
    )
    bootstrap: int = setting(
        "Resamples of the images for 95 % confidence intervals, such as 1000; 0: none.",
        default=0,
        ge=0,
    )
    compare: tuple[str, ...] = setting(
        "Also masks of the same boxes by sam:, sam2: or sam3: with a folder or repository.",
        default=(),
        extra=NAME_OR_PATH,
    )
    evaluator: Evaluator = setting(
        "Who computes AP; vernier (extra eval) also knows boundary AP and LVIS's rules.",
        default="pycocotools",
    )
    per_category: bool = setting("Also print the AP of every category.", default=False)
    class_agnostic: bool = setting(
        "Ignore categories, as is always done for class-agnostic heads.", default=False
    )
    json: bool = setting("Print JSON for machines.", default=False)
    detector: str | None = DETECTOR
    weights: str | None = WEIGHTS
    skip_invalid: bool = SKIP_INVALID
    device: str = DEVICE


def run(project: Project, options: Options) -> None:
    """Print the figures and write them into the run's folder; launched processes share the work."""
    keep_freed_memory()
    device = opening.pick_device(options.device)
    with distributed.joined(device):
        _evaluate(project, options, device)


def _evaluate(project: Project, options: Options, device: "torch.device") -> None:
    run = chosen_run(project, options)
    head = None if run is None else run.load_head(device)
    store: cache.Store | None
    if run is None:
        store = opening.open_store(project, options.split, options.store)
        spec, choice = store.spec, project.choice
    else:
        store = opening.find_features_of(project, run, options.split, options.store)
        spec, choice = run.spec, run.config.detector
    matched = opening.in_categories_of(
        spec,
        project,
        open_named(project, options),
        class_agnostic=options.class_agnostic or (head is not None and head.config.class_agnostic),
    )
    if matched.renumbered:
        say("the results files have the detector's category ids")
    dataset = matched.dataset
    say(f"run: {'none, only boxes and baselines' if run is None else run.path}")
    say(f"store: {'none, the detector runs on every image' if store is None else store.path}")
    choice = override(project, choice, options.detector, options.weights)
    features: headtrain.Features
    if store is not None:
        features = opening.complete(store, dataset, choice, device)
        say_repeated_files(dataset, store.images)
    else:
        assert run is not None
        features = opening.live_features_of(project, run, choice, dataset, device)
    upright = features.spec.preprocessing.upright
    compared = {
        name: headtrain.open_sam(name, dataset, device, upright=upright) for name in options.compare
    }
    evaluation = headtrain.evaluate(
        head,
        features,
        dataset,
        baselines=options.baselines,
        oracles=options.oracles,
        compared=compared,
        bootstrap=options.bootstrap,
        evaluator=options.evaluator,
        split=options.split,
        device=device,
    )
    if distributed.rank() > 0:
        return
    if options.json:
        print_json(evaluation.to_json())
    else:
        out.print(evaluation.table())
        if options.per_category:
            out.print(evaluation.category_table())
    if run is not None:
        folder = headtrain.evaluation_dir(run, options.split, features.path.name)
        with disk_errors(folder, "rerun the command; its figures are printed above"):
            evaluation.write(folder)
        say(f"written: {folder}")


def chosen_run(project: Project, options: Options) -> "headtrain.Run | None":
    """The run that is meant; None where there is none yet and what needs none is asked for.

    Raises:
        ConfigError: there is no such run.
    """
    try:
        return headtrain.Run.find(project.runs, options.run)
    except ConfigError:
        if options.run is None and (options.baselines or options.oracles or options.compare):
            return None
        raise


def override(
    project: Project, choice: DetectorChoice, name: str | None, weights: str | None
) -> DetectorChoice:
    """The choice with what the command line says in its place; else where the project has it."""
    if name is None:
        choice = choice.where_it_is(project.choice)
    return replace(choice, name=name or choice.name, weights=weights or choice.weights)
