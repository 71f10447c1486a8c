"""Stage two: the mask head, its targets, training, evaluation and prediction."""

from mfd.headtrain.config import HeadConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.figures import Evaluation
from mfd.headtrain.evaluation.predict import NamedImage, Prediction, predict, write_predictions
from mfd.headtrain.head import MaskHead
from mfd.headtrain.presets import find_preset, preset_table
from mfd.headtrain.pretrained import category_names, check_detector, load_head, save_head
from mfd.headtrain.settings import replace_from_strings
from mfd.headtrain.targets.building import build_targets
from mfd.headtrain.training.train import TrainSummary, train
from mfd.headtrain.training.train_config import TrainConfig

__all__ = [
    "Evaluation",
    "HeadConfig",
    "MaskHead",
    "NamedImage",
    "Prediction",
    "TrainConfig",
    "TrainSummary",
    "build_targets",
    "category_names",
    "check_detector",
    "evaluate",
    "find_preset",
    "load_head",
    "predict",
    "preset_table",
    "replace_from_strings",
    "save_head",
    "train",
    "write_predictions",
]
