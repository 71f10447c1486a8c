"""The formats' names, and what the command line says of them; imports nothing heavy."""

from typing import Literal

Format = Literal["pictures", "coco", "yolo", "labelme", "png"]

TOLERANCE = 1.0
"""Of polygons, pixels: how far corners that are left out may lie from the outline that remains."""
