"""Stage two: the mask head, its targets, training, evaluation and prediction."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.report import Evaluation
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.files import file_ids, image_files
from mfd.headtrain.inference.inputs import ImageInput, upright_rgb
from mfd.headtrain.inference.predict import MIN_SCORE, Categories, Predictor
from mfd.headtrain.inference.prediction import Prediction, draw_predictions, to_supervision
from mfd.headtrain.inference.select import Candidates, select_detections
from mfd.headtrain.inference.write import PredictedFiles, predict_files
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
    "MIN_SCORE",
    "Candidates",
    "Categories",
    "Evaluation",
    "HeadConfig",
    "ImageInput",
    "MaskHead",
    "PredictedFiles",
    "Prediction",
    "Predictor",
    "TrainConfig",
    "TrainSummary",
    "begun_run_dir",
    "build_targets",
    "category_names",
    "check_detector",
    "draw_predictions",
    "evaluate",
    "file_ids",
    "find_preset",
    "find_run",
    "image_files",
    "load_head",
    "new_run_dir",
    "predict_files",
    "preset_table",
    "read_config",
    "save_head",
    "select_detections",
    "to_supervision",
    "train",
    "upright_rgb",
]
