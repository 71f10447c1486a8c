"""`mfd demo`: a data set from nothing, and the whole pipeline on it."""

from mfd.demo.dataset import generate, random_scene
from mfd.demo.run import run_demo
from mfd.demo.scene import Scene, SceneConfig, SceneObject, compose
from mfd.demo.shapes import CATEGORIES
from mfd.demo.summary import Summary

__all__ = [
    "CATEGORIES",
    "Scene",
    "SceneConfig",
    "SceneObject",
    "Summary",
    "compose",
    "generate",
    "random_scene",
    "run_demo",
]
