"""Masks of the same boxes by a Segment Anything model, to be measured beside a head."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from mfd.coco import CocoDataset
from mfd.detectors import load_transformers, local_snapshot
from mfd.errors import ConfigError, DataError
from mfd.headtrain.evaluation.results import Entry, scored_entries
from mfd.headtrain.inference.paste import Rle, paste_mask
from mfd.headtrain.inference.select import Candidates
from mfd.images import Preprocessing, prepare_image, read_rgb

_BOXES = 64  # prompts of one pass of the mask decoder
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class _Family:
    """How a generation of the model reads images.

    Attributes:
        architecture: its class in Transformers.
        model_types: of folders that it loads, as their config.json says.
        keeps_shape: whether the longer side fills the input and the rest is padding; otherwise
            images are stretched to a square.
        mean: of RGB values in [0, 1], unless the folder says otherwise.
        std: likewise.
    """

    architecture: str
    model_types: tuple[str, ...]
    keeps_shape: bool = False
    mean: tuple[float, float, float] = Preprocessing.mean
    std: tuple[float, float, float] = Preprocessing.std


_FAMILIES = {
    "sam": _Family("SamModel", ("sam",), keeps_shape=True),
    "sam2": _Family("Sam2Model", ("sam2", "sam2_video")),
    "sam3": _Family(
        "Sam3TrackerModel",
        ("sam3", "sam3_video", "sam3_tracker", "sam3_tracker_video"),
        mean=_HALF,
        std=_HALF,
    ),
}


def open_sam(
    name: str, dataset: CocoDataset, device: torch.device | str = "cpu", *, upright: bool = False
) -> "Sam":
    """The model that a name such as `sam:facebook/sam-vit-base` stands for.

    Args:
        name: `sam:`, `sam2:` or `sam3:`, and a folder or a repository on the Hugging Face Hub.
        dataset: whose image files it reads.
        upright: whether these are turned as their EXIF orientation says, as for the detector.

    Raises:
        ConfigError: a name of nothing known.
        DetectorError: the model is not there, or not complete.
    """
    prefix, _, source = name.partition(":")
    if prefix not in _FAMILIES or not source:
        kinds = ", ".join(f"{each}:FOLDER_OR_REPOSITORY" for each in _FAMILIES)
        raise ConfigError(f"cannot compare with {name!r}, expected {kinds}")
    family = _FAMILIES[prefix]
    folder = local_snapshot(source)
    found = _read_json(folder / "config.json").get("model_type")
    if found not in family.model_types:
        raise ConfigError(
            f"{folder} is of model type {found!r}, which {prefix}: does not load; expected "
            f"{' or '.join(family.model_types)}"
        )
    model = load_transformers(name, folder, getattr(transformers, family.architecture))
    return Sam(model.to(device), family, _normalisation(folder, family), dataset, upright)


class Sam:
    """Prompts a model with the detector's boxes, all of an image in a few passes.

    Masks are ranked by the detector's class scores, as in the paper of Segment Anything (Kirillov
    et al. 2023, section 7.4).

    Args:
        model: in evaluation mode.
        normalisation: for mean and standard deviation.
    """

    def __init__(
        self,
        model: Any,
        family: _Family,
        normalisation: Preprocessing,
        dataset: CocoDataset,
        upright: bool,
    ) -> None:
        self._model, self._family, self._normalisation = model, family, normalisation
        self._dataset, self._upright = dataset, upright
        self._images = {image.image_id: image for image in dataset.images}
        self._size = int(model.config.prompt_encoder_config.image_size)

    def __call__(self, chosen: Candidates) -> Iterator[Entry]:
        """A mask for each of an image's candidates; pairs of one query share theirs.

        Raises:
            DataError: the image cannot be read, or the masks are not finite.
        """
        image = self._images[chosen.image_id]
        rgb = read_rgb(self._dataset.path(image), image.size_hw, upright=self._upright)
        content_hw = self._content(image.size_hw)
        pixels = prepare_image(rgb, replace(self._normalisation, size_hw=content_hw)).pixels
        below, beside = (self._size - side for side in content_hw)
        maps = self._maps(
            pad(pixels, (0, beside, 0, below)),
            chosen.boxes_xyxy[chosen.best_of_query()],
            (content_hw[1] / image.size_hw[1], content_hw[0] / image.size_hw[0]),
        )
        if not torch.isfinite(maps).all():
            raise DataError(
                f"the model to compare with has masks of {image.file_name} that are "
                "not finite; compare with another one"
            )
        pasted: dict[int, Rle] = {}
        scored = scored_entries(chosen, chosen.scores)
        for entry, row in zip(scored, chosen.query_row.tolist(), strict=True):
            if row not in pasted:
                pasted[row] = self._paste(maps[row], content_hw, image.size_hw)
            yield {**entry, "segmentation": pasted[row]}

    @torch.inference_mode()
    def _maps(
        self,
        pixels: Float[Tensor, "3 S S"],
        boxes_xyxy: Float[Tensor, "U 4"],
        scale_xy: tuple[float, float],
    ) -> Float[Tensor, "U h w"]:
        """The logits of each box's mask over the whole input, in the CPU's memory."""
        device = self._model.device
        embeddings = self._model.get_image_embeddings(pixels[None].to(device))
        prompts = (boxes_xyxy * boxes_xyxy.new_tensor(scale_xy * 2)).float().to(device)
        maps = [
            self._model(
                image_embeddings=embeddings, input_boxes=some[None], multimask_output=False
            ).pred_masks[0, :, 0]
            for some in prompts.split(_BOXES)
        ]
        return torch.cat(maps).float().cpu()

    def _paste(
        self, logits: Float[Tensor, "h w"], content_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> Rle:
        """The image's mask; where there is padding, it is cut off at the input's resolution."""
        if self._family.keeps_shape:
            whole = interpolate(logits[None, None], (self._size, self._size), mode="bilinear")
            logits = whole[0, 0, : content_hw[0], : content_hw[1]]
        frame = torch.tensor([0.0, 0.0, size_hw[1], size_hw[0]])
        return paste_mask(logits, frame, size_hw, threshold=0.0)

    def _content(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the image in the input."""
        if not self._family.keeps_shape:
            return self._size, self._size
        height, width = (int(side * self._size / max(size_hw) + 0.5) for side in size_hw)
        return max(1, height), max(1, width)


def _normalisation(folder: Path, family: _Family) -> Preprocessing:
    """Mean and standard deviation, from the folder where it says them."""
    settings: dict[str, Any] = {}
    for name in ("processor_config.json", "preprocessor_config.json"):
        found = _read_json(folder / name)
        settings |= found.get("image_processor") or found
    values = [settings.get(f"image_{key}", getattr(family, key)) for key in ("mean", "std")]
    try:
        mean, std = (tuple(map(float, value)) for value in values)
        return Preprocessing(mean=mean, std=std)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{folder} has image_mean and image_std {values}, expected three numbers each"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not a JSON file: {error}; download it again") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no settings; download it again")
    return found
