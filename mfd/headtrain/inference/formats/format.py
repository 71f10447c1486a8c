"""What all formats have in common: what they are given, and how they are asked to write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from mfd.errors import ConfigError
from mfd.headtrain.inference.polygons import Polygon, polygons
from mfd.headtrain.inference.prediction import Prediction


@dataclass(frozen=True)
class PredictedImage:
    """An image file with its instances.

    Attributes:
        number: of the file among all that are predicted, from 0.
        rgb: its pixels, upright.
        found: the instances that are shown, the best first.
    """

    number: int
    path: Path
    image_id: int
    rgb: Image.Image
    found: Sequence[Prediction]

    @property
    def with_pixels(self) -> list[Prediction]:
        """The instances whose mask is not empty."""
        return [prediction for prediction in self.found if prediction.area]


@dataclass(frozen=True)
class Target:
    """Where a format writes, and what it may ask for.

    Attributes:
        files: all image files, in the order of `PredictedImage.number`.
        categories: name of each category id that the detector can find, ascending by id.
        tolerance: of polygons, pixels; see `polygons`.
        scale: of pictures.
    """

    folder: Path
    files: Sequence[Path]
    categories: Mapping[int, str]
    tolerance: float = 0.0
    scale: int = 1

    def polygons(self, prediction: Prediction) -> list[Polygon]:
        """The prediction's mask, a polygon for each of its parts."""
        return polygons(prediction.mask, self.tolerance)

    def require_empty(self) -> None:
        """Make the folder, if there is none.

        Raises:
            ConfigError: there is something in it, which may be someone's corrections.
        """
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ConfigError(
                f"{self.folder} exists and is not empty; name a new folder with --out, or delete it"
            )
        self.folder.mkdir(parents=True, exist_ok=True)


class Writer(Protocol):
    """A format at work, in a folder that is empty for all but pictures."""

    def add(self, image: PredictedImage) -> Sequence[Path]:
        """Write one image's instances; which files are now complete that a user would open."""
        ...

    def close(self) -> Sequence[Path]:
        """Complete the rest, also when the work was interrupted; the files as above."""
        ...
