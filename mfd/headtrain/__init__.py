"""Stage two: the mask head, its targets, training, evaluation and prediction."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.figures import Evaluation
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import Candidates, choose
from mfd.headtrain.inference.predict import NamedImage, Prediction, predict, write_predictions
from mfd.headtrain.presets.paper import find_preset, preset_table
from mfd.headtrain.runs.find import begun_run_dir, find_run, new_run_dir
from mfd.headtrain.runs.pretrained import (
    category_names,
    check_detector,
    load_head,
    read_config,
    save_head,
)
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.training.train import TrainSummary, train

__all__ = [
    "Candidates",
    "Evaluation",
    "HeadConfig",
    "MaskHead",
    "NamedImage",
    "Prediction",
    "TrainConfig",
    "TrainSummary",
    "begun_run_dir",
    "build_targets",
    "category_names",
    "check_detector",
    "choose",
    "evaluate",
    "find_preset",
    "find_run",
    "load_head",
    "new_run_dir",
    "predict",
    "preset_table",
    "read_config",
    "save_head",
    "train",
    "write_predictions",
]
