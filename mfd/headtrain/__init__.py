"""Stage two: the mask head, its targets, training, evaluation and prediction."""

from mfd.headtrain.config import HeadConfig as HeadConfig
from mfd.headtrain.evaluate import evaluate as evaluate
from mfd.headtrain.evaluation import Evaluation as Evaluation
from mfd.headtrain.head import MaskHead as MaskHead
from mfd.headtrain.pretrained import load_head as load_head
from mfd.headtrain.settings import replace_from_strings as replace_from_strings
from mfd.headtrain.target_building import build_targets as build_targets
from mfd.headtrain.train import TrainSummary as TrainSummary
from mfd.headtrain.train import train as train
from mfd.headtrain.train_config import TrainConfig as TrainConfig
