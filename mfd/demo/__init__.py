"""`mfd demo`: a data set from nothing, and the whole pipeline on it."""

from mfd.demo.dataset import generate, random_scene
from mfd.demo.scene import Scene, SceneConfig, SceneObject, compose
from mfd.demo.shapes import CATEGORIES

__all__ = [
    "CATEGORIES",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "compose",
    "generate",
    "random_scene",
]
