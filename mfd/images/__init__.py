"""Image files as detector input: read, resized, normalised, batched."""

from mfd.images.batch import collate_images, similar_sizes
from mfd.images.prepare import LoadedImage, load_image, prepare_image
from mfd.images.preprocessing import Preprocessing, input_size
from mfd.images.read import read_rgb

__all__ = [
    "LoadedImage",
    "Preprocessing",
    "collate_images",
    "input_size",
    "load_image",
    "prepare_image",
    "read_rgb",
    "similar_sizes",
]
