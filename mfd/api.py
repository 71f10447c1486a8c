"""The Python interface: a frozen detector and its mask head as one function of images.

model = MaskFrozenDETR.from_pretrained("runs/paper-1", "hdetr-r50", "r50.pth")
for instance in model("street.jpg"):
    print(instance.category, instance.class_score, instance.box_xyxy, instance.mask.sum())
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast, overload

import numpy as np
import torch

from mfd import sharing
from mfd.config import DetectorChoice
from mfd.detectors import Detector, device_of, load_detector
from mfd.headtrain import (
    MIN_SCORE,
    Categories,
    ImageInput,
    MaskHead,
    Prediction,
    Predictor,
    Run,
    RunConfig,
    Shown,
    upright_rgb,
)
from mfd.opening import pick_device
from mfd.settings import setting, settings
from mfd.text import printable


@settings
class _Call(Shown):
    """What is asked of a model besides its images."""

    batch_size: int = setting(
        "Images of a list that pass the detector together, padded to one size.", default=1, ge=1
    )


class MaskFrozenDETR:
    """Instances of images, by a detector and a head that was trained on its features.

    Args:
        detector: frozen, as `mfd.detectors.load_detector` returns it.
        head: in evaluation mode, on the detector's device.
        categories: name of each category id that the detector itself has no name for.

    Raises:
        DetectorError: the head was trained for another detector.
    """

    def __init__(self, detector: Detector, head: MaskHead, categories: Mapping[int, str]) -> None:
        self.predictor = Predictor(detector, head, categories)
        self._run: Run | None = None

    def __repr__(self) -> str:
        spec, head = self.predictor.detector.spec, self.predictor.head
        size = sum(weight.numel() for weight in head.parameters())
        return (
            f"MaskFrozenDETR(detector={printable(spec.name)!r}, "
            f"categories={len(spec.category_ids)}, head of {size / 1e6:.2f} M parameters, "
            f"on {device_of(self.predictor.detector)})"
        )

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        detector: Detector | str | None = None,
        weights: Path | str | None = None,
        encoder_layer: int | None = None,
        device: torch.device | str = "auto",
    ) -> "MaskFrozenDETR":
        """The head of a run or head folder, with the detector that it was trained for.

        Args:
            folder: of the head; or `hf://user/repository`, and `@revision` after it, of the Hub.
            detector: a module, or as in `mfd.toml`; None is the run's own.
            weights: the checkpoint of a detector that needs one; None is the run's own.
            encoder_layer: layer whose maps the detector returns (1-based); None: the run's.
            device: "cuda", "cuda:1", "cpu"; "auto" is that of a module that is given as detector,
                else the GPU where there is one.

        Raises:
            ConfigError: the folder holds no finished head, or cannot be downloaded.
            DetectorError: there is no such detector, or the head was trained for another one.
        """
        if str(folder).startswith(sharing.SCHEME):
            folder = sharing.fetch(str(folder))
        run = Run.open(folder)
        if device == "auto":
            if detector is None or isinstance(detector, str):
                device = pick_device("auto")
            else:
                device = device_of(detector)
        head, own = run.load_head(device), run.config.detector
        if detector is None or isinstance(detector, str):
            loaded = load_detector(
                detector or own.name,
                own.weights if weights is None else weights,
                own.encoder_layer if encoder_layer is None else encoder_layer,
                device,
                prompts=own.prompts,
            )
            detector = run.own_detector(loaded)
        model = cls(detector, head, run.config.categories)
        model._run = run
        return model

    def save_pretrained(self, folder: Path | str, *, licence: str | None = None) -> None:
        """Write the head, its configuration, its figures and a model card into a new folder.

        `from_pretrained` reads it. The detector's weights are in it if they were trained along;
        otherwise it names the detector and the digest of its weights.

        Args:
            licence: of the weights, as the Hub abbreviates it: "apache-2.0", "cc-by-4.0".

        Raises:
            ConfigError: the folder is in use, or the licence is no identifier.
        """
        predictor = self.predictor
        spec = predictor.detector.spec
        choice = DetectorChoice(spec.name, None, spec.encoder_layer or None)
        made = RunConfig(predictor.head.config, spec, choice, dict(predictor.names))
        config = made if self._run is None else self._run.config
        sharing.save_folder(Path(folder), config, predictor.head, run=self._run, licence=licence)

    def push_to_hub(
        self, repository: str, *, private: bool = False, licence: str | None = None
    ) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face Hub; the address of its page.

        Args:
            repository: `user/repository`, made if it is not there.
            private: of a repository that is made.
            licence: as of `save_pretrained`.

        Raises:
            ConfigError: the Hub cannot be reached, or refuses.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / repository.rpartition("/")[2]
            self.save_pretrained(folder, licence=licence)
            return sharing.push(folder, repository, private=private)

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        images: ImageInput,
        *,
        min_score: float = ...,
        min_quality: float = ...,
        categories_per_query: Categories = ...,
        batch_size: int = ...,
    ) -> list[Prediction]: ...

    @overload
    def __call__(
        self,
        images: Sequence[ImageInput],
        *,
        min_score: float = ...,
        min_quality: float = ...,
        categories_per_query: Categories = ...,
        batch_size: int = ...,
    ) -> list[list[Prediction]]: ...

    def __call__(
        self,
        images: ImageInput | Sequence[ImageInput],
        *,
        min_score: float = MIN_SCORE,
        min_quality: float = 0.0,
        categories_per_query: Categories = "best",
        batch_size: int = 1,
    ) -> list[Prediction] | list[list[Prediction]]:
        """The instances of an image, those of the best score first; a list of them for a list.

        Args:
            images: one or a list of: a path, a PIL image, an array (H x W, or H x W x 1, 3 or 4)
                or a tensor (3 x H x W, or H x W x 3 if that is clear), of uint8, of uint16 (which
                is scaled) or of floats in 0..1. Files and PIL images are turned upright as their
                EXIF data says, and predictions are in pixels of the upright image. A batch in one
                array or tensor of four dimensions counts as the list of its images.
            min_score: instances of a lower class score, the detector's own, are left out. 0.4 is
                where precision and recall balance (`mfd.headtrain.MIN_SCORE` has the figures).
            min_quality: instances whose mask has a lower quality are left out.
            categories_per_query: "best" gives each of the detector's queries its best category;
                "all" gives all that reach `min_score`, with the same mask.
            batch_size: images of a list that pass the detector together, padded to one size;
                1 gives each the same instances as alone, to the last bit.

        Raises:
            ConfigError: a ValueError; a score, quality, choice or batch size that cannot be.
            DataError: a file cannot be read.
            InputError: a TypeError; an image of no accepted type, shape or range of values.
        """
        call = _Call(
            min_score=min_score,
            min_quality=min_quality,
            categories_per_query=categories_per_query,
            batch_size=batch_size,
        )
        if isinstance(images, np.ndarray | torch.Tensor) and images.ndim == 4:
            images = list(images)
        one = not isinstance(images, list | tuple)
        several = cast(Sequence[ImageInput], [images] if one else images)
        found = []
        for first in range(0, len(several), call.batch_size):  # so that few are in memory
            batch = several[first : first + call.batch_size]
            found += self.predictor([upright_rgb(image) for image in batch], call)
        return found[0] if one else found
