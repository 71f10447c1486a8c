"""Image files as detector input: read, resized, normalised, batched."""

from mfd.images.batch import collate_images, similar_sizes
from mfd.images.prepare import LoadedImage, load_image, prepare_image
from mfd.images.preprocessing import Preprocessing, input_size
from mfd.images.read import read_rgb
from mfd.images.views.affine import map_boxes, map_points
from mfd.images.views.placement import Placement, view_boxes
from mfd.images.views.view import View, parse_view

__all__ = [
    "LoadedImage",
    "Placement",
    "Preprocessing",
    "View",
    "collate_images",
    "input_size",
    "load_image",
    "map_boxes",
    "map_points",
    "parse_view",
    "prepare_image",
    "read_rgb",
    "similar_sizes",
    "view_boxes",
]
