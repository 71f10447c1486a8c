"""Stage two: the mask head, its targets, training, evaluation and prediction."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.evaluation.evaluate import evaluate
from mfd.headtrain.evaluation.figures import Evaluation
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import Candidates, choose
from mfd.headtrain.inference.predict import NamedImage, Prediction, predict, write_predictions
from mfd.headtrain.presets.paper import find_preset, preset_table
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
    "BatchSource",
    "Candidates",
    "Evaluation",
    "FeatureStore",
    "HeadConfig",
    "LiteStore",
    "MaskHead",
    "NamedImage",
    "Prediction",
    "Run",
    "RunConfig",
    "StoredSource",
    "TrainConfig",
    "TrainSummary",
    "build_targets",
    "check_binding",
    "choose",
    "evaluate",
    "find_preset",
    "predict",
    "preset_table",
    "read_metrics",
    "train",
    "write_predictions",
]
