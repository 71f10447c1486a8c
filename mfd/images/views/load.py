"""An image file as its view shows it to the detector."""

from pathlib import Path

from mfd.images.prepare import LoadedImage
from mfd.images.preprocessing import Preprocessing
from mfd.images.read import read_rgb
from mfd.images.views.placement import Placement


def load_view(
    path: Path, placement: Placement, preprocessing: Preprocessing, sha256: str | None = None
) -> LoadedImage:
    """The file read by `read_rgb`, then placed; for the view `base` it is what `load_image` gives.

    Args:
        sha256: the digest that the file must have, hex.

    Raises:
        DataError: as `read_rgb`, and if the image has another size than the placement's.
    """
    rgb = read_rgb(path, placement.original_hw, upright=preprocessing.upright, sha256=sha256)
    return placement.apply(rgb, preprocessing)
