"""Settings that several commands take, each declared once."""

from pathlib import Path
from typing import Any

from mfd.config import Profile, StoredDtype
from mfd.headtrain import Log
from mfd.settings import NAME_OR_PATH, PATH_OR_URL, setting, settings

IMAGES: Any = setting("Image folder of a custom dataset.", default=None)
ANNOTATIONS: Any = setting(
    "Annotation file of a custom dataset: COCO's JSON, or YOLO's data.yaml.", default=None
)
SKIP_INVALID: Any = setting("Continue without annotations that cannot be used.", default=False)
STORE: Any = setting(
    "Path of the feature store (default: the matching one under --stores).", default=None
)
DEVICE: Any = setting("auto, cpu, cuda or cuda:N.", default="auto")

# of commands that take the detector from a run
DETECTOR: Any = setting(
    "The run's detector, if it now has another name or path.", default=None, extra=NAME_OR_PATH
)
WEIGHTS: Any = setting(
    "The detector's checkpoint, if it has moved.", default=None, extra=PATH_OR_URL
)


def run_setting(**extra: Any) -> Any:
    """Declares `run`, a finished one; `extra` as `setting` takes it."""
    return setting(
        "Name or folder of a run (default: the latest finished one).",
        default=None,
        extra={**NAME_OR_PATH, **extra},
    )


@settings
class Extraction:
    """What is extracted, and how it is stored."""

    split: str = setting(
        "A split of the data; any name with --images and --annotations.", default="train"
    )
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS
    profile: Profile = setting(
        "full: encoder maps and C1; lite: C1 is recomputed when needed.", default="full"
    )
    dtype: StoredDtype = setting("Stored element type of the maps.", default="float16")


@settings
class HeadTraining:
    """Which heads are trained, and on what."""

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
    images: Path | None = IMAGES
    annotations: Path | None = ANNOTATIONS
    val: str | None = setting(
        "Split or store to validate on after every epoch; none: without (default: the val store, "
        "if there is one).",
        default=None,
        extra=NAME_OR_PATH,
    )
    store: Path | None = STORE
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
    log: Log | None = setting(
        "Also send metrics to tensorboard, trackio or wandb (default: none).", default=None
    )
