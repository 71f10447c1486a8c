"""Who computes AP: pycocotools, or vernier, which computes the same faster and knows boundaries."""

import importlib
from typing import Any, Literal

from pycocotools.cocoeval import COCOeval

from mfd.config import Evaluator
from mfd.errors import ConfigError

Kind = Literal["bbox", "segm", "boundary"]
"""What is compared: boxes, masks, or masks by the lesser of mask IoU and boundary IoU (Cheng et al.
2021; boundaries as wide as 2 % of the image's diagonal)."""


def coco_eval(evaluator: Evaluator, kind: Kind) -> Any:
    """A class with the interface of pycocotools' COCOeval.

    Raises:
        ConfigError: it is not installed, or does not know the kind.
    """
    if evaluator == "vernier":
        return vernier().COCOeval
    if kind == "boundary":
        raise ConfigError("pycocotools does not know boundary AP; use --evaluator vernier")
    return COCOeval


def vernier(module: str = "vernier") -> Any:
    """The package vernier, or a module of it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"the evaluator vernier cannot be imported ({error}); install mfd with its extra, "
            "`pip install 'mfd[eval]'`, or use --evaluator pycocotools"
        ) from error
