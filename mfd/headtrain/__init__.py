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
from mfd.headtrain.presets.paper import Preset, find_preset, preset_table
from mfd.headtrain.runs.binding import check_binding
from mfd.headtrain.runs.config import RunConfig
from mfd.headtrain.runs.run import Run
from mfd.headtrain.sources.lite import FeatureStore, LiteStore
from mfd.headtrain.sources.protocol import BatchSource
from mfd.headtrain.sources.stored import StoredSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.training.metrics import read_metrics
from mfd.headtrain.training.train import TrainSummary, train

__all__ = [
    "MIN_SCORE",
    "BatchSource",
    "Candidates",
    "Categories",
    "Evaluation",
    "FeatureStore",
    "HeadConfig",
    "ImageInput",
    "LiteStore",
    "MaskHead",
    "PredictedFiles",
    "Prediction",
    "Predictor",
    "Preset",
    "Run",
    "RunConfig",
    "StoredSource",
    "TrainConfig",
    "TrainSummary",
    "build_targets",
    "check_binding",
    "draw_predictions",
    "evaluate",
    "file_ids",
    "find_preset",
    "image_files",
    "predict_files",
    "preset_table",
    "read_metrics",
    "select_detections",
    "to_supervision",
    "train",
    "upright_rgb",
]
