"""A `lite` store completed by its detector: stage 1 is recomputed from the image files."""

from dataclasses import replace

from mfd.cache import Store, StoreInfo
from mfd.coco import CocoDataset
from mfd.detectors import Detector, ImageFeatures, stage1_features
from mfd.errors import DataError, DetectorError
from mfd.images import load_image, load_view


class LiteStore:
    """Read like the store it wraps: `lite[i]` is `store[i]` with its stage-1 map.

    Args:
        store: whose images come without the map.
        detector: that made the store, on the device where stage 1 is to run.
        dataset: says where the image files are.

    Raises:
        DetectorError: the detector is not the store's.
    """

    has_c1 = True

    def __init__(self, store: Store, detector: Detector, dataset: CocoDataset) -> None:
        for field in ("weights_digest", "preprocessing"):
            there, here = getattr(store.spec, field), getattr(detector.spec, field)
            if there != here:
                raise DetectorError(
                    f"{store.path} holds features of {store.spec.name} ({field} {there}), found "
                    f"{detector.spec.name} ({field} {here}); use the detector it was extracted with"
                )
        self._store, self._detector = store, detector
        self._files = {entry.image_id: dataset.path(entry) for entry in dataset.images}
        self.path, self.spec, self.identity = store.path, store.spec, store.identity
        self.image_ids, self.images, self.invalid = store.image_ids, store.images, store.invalid
        self.input_hw = store.input_hw

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, position: int) -> ImageFeatures:
        """As `store[position]`, the stage-1 map in float32.

        Raises:
            DataError: the image file is missing or cannot be read.
        """
        features = self._store[position]
        if (file := self._files.get(features.image_id)) is None:
            raise DataError(
                f"the annotations do not list image {features.image_id} of {self.path}; give "
                "those of the extracted images"
            )
        placement, preprocessing = features.placement, self.spec.preprocessing
        if placement is None:
            image = load_image(file, preprocessing, features.original_hw)
        else:
            image = load_view(file, placement, preprocessing)
        (c1,) = stage1_features(self._detector, [image])
        return replace(features, c1=c1.cpu())

    def info(self) -> StoreInfo:
        """The store in a few words."""
        return self._store.info()


FeatureStore = Store | LiteStore
"""What training and evaluation read: features by position, and what they are of."""
