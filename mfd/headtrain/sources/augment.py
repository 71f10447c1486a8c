"""How live training shows an image: drawn from seed, epoch and image, and from nothing else."""

import numpy as np

from mfd.coco import ImageEntry
from mfd.headtrain.config.train import Augment
from mfd.images import Placement, Preprocessing, View

_FLIP = int.from_bytes(b"flip")


def placement(
    augment: Augment, image: ImageEntry, preprocessing: Preprocessing, seed: int, epoch: int
) -> Placement:
    """Where the image lies in the detector's input.

    Args:
        augment: "none" is the detector's own resize, "flip" mirrors half of the images, "ms" and
            "lsj" are the views of these names.
        epoch: counted from 0.
    """
    if augment in ("ms", "lsj"):
        view = View(augment, seed)
    else:
        flips = augment == "flip" and _coin(image.image_id, seed, epoch)
        view = View("flip" if flips else "base")
    return view.draw(image.image_id, image.size_hw, preprocessing, epoch)


def _coin(image_id: int, seed: int, epoch: int) -> bool:
    entropy = (_FLIP, seed, image_id % 2**64)  # ids may be negative
    sequence = np.random.SeedSequence(entropy, spawn_key=(epoch,))
    return bool(np.random.default_rng(sequence).random() < 0.5)
