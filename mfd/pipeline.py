"""The commands as functions: where project, data, detector, stores and runs come together.

Everything here takes a `Project` and plain values, and returns what the parts return.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfd.config import Project
from mfd.errors import ConfigError, DataError
from mfd.text import first_line

if TYPE_CHECKING:  # the parts import torch, which takes seconds; each function imports its own
    import torch

    from mfd.cache import Store
    from mfd.coco import CocoDataset
    from mfd.extract import Estimate, ExtractConfig, Extraction
    from mfd.headtrain import Evaluation, TrainConfig, TrainSummary


def pick_device(name: str) -> "torch.device":
    """The device of this name; "auto" is the GPU where there is one, else the CPU."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise ConfigError(f"there is no device {name!r}; expected auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used ({first_line(error)}); `mfd doctor` lists what can"
        ) from error
    return device


def open_detector(project: Project, device: str = "auto") -> Any:
    """The project's detector, frozen, on its device."""
    from mfd.detectors import load_detector

    return load_detector(
        project.detector, project.weights, project.encoder_layer, pick_device(device)
    )


def open_dataset(
    project: Project,
    split: str,
    images: Path | None = None,
    annotations: Path | None = None,
    *,
    need_masks: bool = True,
) -> "CocoDataset":
    """The split of the project's data, or the data named by `images` and `annotations`."""
    from mfd.coco import read_dataset, split_paths

    if images is None or annotations is None:
        own = (annotations, images)
        paths = split_paths(project.data, split)
        annotations, images = (mine or usual for mine, usual in zip(own, paths, strict=True))
    return read_dataset(annotations, images, need_masks=need_masks)


def open_store(project: Project, split: str, path: Path | None = None) -> "Store":
    """The store at `path`, or the project's one finished store of the split and detector."""
    from mfd.cache import Store, find_store

    if path is not None:
        return Store.open(path)
    wanted: dict[str, object] = {"detector": project.detector}
    if ":" in project.detector:  # a detector of one's own has its name in its spec
        spec = open_detector(project, "cpu").spec
        wanted = {"detector": spec.name, "weights_digest": spec.weights_digest}
    if project.encoder_layer is not None:
        wanted["encoder_layer"] = project.encoder_layer
    return Store.open(find_store(project.stores, split=split, **wanted))  # type: ignore[arg-type]


def extract_split(
    project: Project,
    dataset: "CocoDataset",
    split: str,
    config: "ExtractConfig",
    *,
    profile: Any,
    dtype: Any,
    codec: Any,
    device: str,
    say: Callable[[str], object],
) -> "Extraction":
    """Stage one: the store of a data set, begun or gone on with."""
    import torch

    import mfd
    from mfd.cache import StoreWriter
    from mfd.extract import extract, image_digests, store_identity

    if missing := dataset.missing():
        say(
            f"not in {dataset.images_dir} and left out: {len(missing)} of {len(dataset.images)} "
            f"images, the first is {missing[0].file_name}"
        )
    detector = open_detector(project, device)
    digests = image_digests(dataset, project.stores, config.workers)
    identity = store_identity(
        detector.spec,
        dataset,
        digests,
        split=split,
        profile=profile,
        dtype=dtype,
        autocast=config.autocast,
    )
    provenance = {
        "detector": project.detector,
        "autocast": config.autocast,
        "device": str(next(detector.parameters()).device),
        "mfd": mfd.__version__,
        "torch": torch.__version__,
    }
    with StoreWriter.open(project.stores, identity, codec=codec, provenance=provenance) as writer:
        say(f"store: {writer.path}")
        return extract(detector, dataset, writer, config, say)


def estimate_split(
    project: Project,
    dataset: "CocoDataset",
    *,
    profile: Any,
    dtype: Any,
    measure: bool,
    device: str,
) -> "Estimate":
    """What extracting the images that are there will need; with `measure`, at what rate."""
    from mfd.extract import estimate, measure_rate

    dataset = dataset.present()
    detector = open_detector(project, device)
    rate = measure_rate(detector, dataset, dtype=dtype) if measure else None
    return estimate(dataset, detector.spec, profile, dtype, rate)


def configure_head(
    preset: str | None, settings: Sequence[str], resumed: Path | None = None
) -> tuple[Any, "TrainConfig"]:
    """The head and the recipe that a preset and `field=value` texts describe.

    Args:
        preset: None is the paper's head, or the one of the run that is `resumed`.
        resumed: a run whose head and recipe are taken where neither preset nor text says else.

    Raises:
        ConfigError: no such preset, setting or run, or a value that cannot be.
    """
    from mfd.headtrain import HeadConfig, TrainConfig, find_preset, read_config
    from mfd.settings import replace_from_strings

    if resumed is not None and preset is None:
        begun = read_config(resumed)
        head = HeadConfig.from_json(begun["head"])
        recipe = TrainConfig.from_json(begun["train"])
    else:
        head, recipe = find_preset(preset or "paper").config, TrainConfig()
    of_head, of_recipe = ({field.name for field in fields(part)} for part in (head, recipe))
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise ConfigError(f"--set takes field=value, found {setting!r}")
        if name not in of_head | of_recipe:
            near = difflib.get_close_matches(name, of_head | of_recipe, n=1)
            known = ", ".join(sorted(of_head | of_recipe))
            hint = f"did you mean {near[0]!r}?" if near else f"known are {known}"
            raise ConfigError(f"there is no setting {name!r}; {hint}")
        values[name] = value
    return (
        replace_from_strings(head, {k: v for k, v in values.items() if k in of_head}),
        replace_from_strings(recipe, {k: v for k, v in values.items() if k in of_recipe}),
    )


def train_head(
    project: Project,
    store: "Store",
    dataset: "CocoDataset",
    run_dir: Path,
    head_config: Any,
    train_config: "TrainConfig",
    *,
    device: str,
    resume: bool,
    say: Callable[[str], object],
) -> "TrainSummary":
    """Stage two: a head trained on a store, in `run_dir`."""
    import torch

    from mfd.cache import add_reference
    from mfd.headtrain import MaskHead, build_targets, train

    with torch.device("meta"):  # refuses a head that does not fit before targets are built
        MaskHead(head_config, store.spec)
    targets = build_targets(store, dataset, 4 * head_config.roi_size, project.stores)
    say(str(targets.total))
    add_reference(store.path, run_dir)
    return train(
        head_config,
        train_config,
        with_c1(project, store, dataset, device) if head_config.use_c1 else store,
        targets,
        run_dir,
        device=pick_device(device),
        resume=resume,
    )


def evaluate_run(
    project: Project,
    run_dir: Path,
    store: "Store",
    dataset: "CocoDataset",
    *,
    baselines: bool,
    device: str,
) -> "Evaluation":
    """AP of a trained head on a store; with `baselines` also of filled boxes and of no training."""
    from mfd.headtrain import MaskHead, evaluate, find_preset, load_head

    place = pick_device(device)
    head = load_head(run_dir, place)
    untrained = None
    if baselines:
        # C1 can be added as it is only where the widths agree
        use_c1 = store.spec.c1_channels == store.spec.dim
        config = find_preset("baseline-roi-c1" if use_c1 else "baseline-roi").config
        config = replace(config, roi_size=head.config.roi_size)
        untrained = MaskHead(config, store.spec).to(place)
    return evaluate(
        head,
        with_c1(project, store, dataset, device) if head.config.use_c1 else store,
        dataset,
        run_dir,
        filled_boxes=baselines,
        untrained=untrained,
        device=place,
    )


def with_c1(project: Project, store: "Store", dataset: "CocoDataset", device: str) -> "Store":
    """The store, whose stage-1 maps the detector recomputes if it is a `lite` one."""
    if store.has_c1:
        return store
    from mfd.detectors import stage1_features

    detector = open_detector(project, device)
    paths = {entry.image_id: dataset.path(entry) for entry in dataset.images}

    def stage1(image_id: int) -> "torch.Tensor":
        (found,) = stage1_features(detector, [paths[image_id]], detector.spec.preprocessing)
        return found.cpu()

    return store.with_c1(stage1)


def predict_images(
    project: Project,
    run_dir: Path,
    images: Sequence[Path],
    folder: Path,
    *,
    threshold: float,
    device: str,
    say: Callable[[str], object],
) -> list[Path]:
    """Pictures of the masks on each image and one COCO JSON in `folder`; returns their paths.

    Args:
        images: files, and folders whose image files are all taken.
        say: is told of each file that is no image; the others are done.

    Raises:
        DataError: a file is not there, or none of them is an image.
    """
    from mfd.detectors import detect
    from mfd.headtrain import (
        NamedImage,
        category_names,
        check_detector,
        load_head,
        write_predictions,
    )
    from mfd.images import prepare_image, read_rgb

    files = _image_files(images)
    place = pick_device(device)
    head = load_head(run_dir, place)
    detector = open_detector(project, device)
    check_detector(head.spec, detector.spec)
    faults: list[DataError] = []

    def seen() -> Iterator[NamedImage]:
        for number, path in enumerate(files):
            try:
                rgb = read_rgb(path)
            except DataError as error:
                faults.append(error)
                say(f"left out: {error}")
                continue
            loaded = prepare_image(rgb, detector.spec.preprocessing)
            (features,) = detect(detector, [loaded], [number])
            yield NamedImage(path, features.cpu(), rgb)

    names = category_names(run_dir)
    written = write_predictions(head, seen(), folder, names, min_score=threshold, device=place)
    if len(faults) == len(files):
        raise DataError(f"none of {len(files)} files could be used, the first: {faults[0]}")
    return written


def _image_files(paths: Sequence[Path]) -> list[Path]:
    """The files among the paths and the image files in the folders among them, by name."""
    from PIL import Image

    endings = Image.registered_extensions()
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in endings)
            if not inside:
                raise DataError(f"{path} holds no image file; give images or folders of images")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"there is no image {path}; give images or folders of images")
    return files
