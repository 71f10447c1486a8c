"""Features of a data set's images from the detector at work, read like a store."""

from pathlib import Path

from mfd.cache import StoreIdentity, StoreImage
from mfd.coco import CocoDataset
from mfd.config import Precision
from mfd.detectors import Detector, ImageFeatures, detect
from mfd.headtrain.sources.lite import FeatureStore
from mfd.images import load_image

_UNKNOWN = "0" * 64  # in place of a file's digest


class LiveFeatures:
    """`features[i]` runs the detector on the i-th image of a data set.

    Attributes:
        path: what results call it, in place of a store's folder.
        spec: of the detector.
        image_ids: of `features[0]`, `features[1]`, ...
        invalid: images whose file is absent.

    Args:
        detector: on the device where it is to run; it may be in training meanwhile.
        precision: element type of its matrix products.
    """

    path = Path("live")
    has_c1 = True

    def __init__(
        self, detector: Detector, dataset: CocoDataset, precision: Precision = "float32"
    ) -> None:
        self.spec, self._detector, self._dataset = detector.spec, detector, dataset
        self._precision = precision
        self._entries = dataset.present().images
        self.image_ids = tuple(entry.image_id for entry in self._entries)
        present = set(self.image_ids)
        self.invalid = tuple(
            StoreImage(entry.image_id, entry.file_name, entry.size_hw, _UNKNOWN)
            for entry in dataset.images
            if entry.image_id not in present
        )

    @property
    def identity(self) -> StoreIdentity:
        """Of the store that would hold them, were the files' contents known."""
        images = (
            StoreImage(entry.image_id, entry.file_name, entry.size_hw, _UNKNOWN)
            for entry in self._entries
        )
        return StoreIdentity(
            self.spec, "live", tuple(images), dtype="float32", precision=self._precision
        )

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, position: int) -> ImageFeatures:
        """In the CPU's memory; the image runs alone.

        Raises:
            DataError: the image file cannot be read.
        """
        entry = self._entries[position]
        path = self._dataset.path(entry)
        image = load_image(path, self.spec.preprocessing, entry.size_hw)
        (found,) = detect(self._detector, [image], [entry.image_id], precision=self._precision)
        return found.cpu()


Features = FeatureStore | LiveFeatures
"""What evaluation reads: features by position, and what they are of."""
