"""Our own preset: the paper's head, trained on more and better boxes."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.presets.preset import Preset

MFD = Preset(
    "mfd",
    table=None,
    config=HeadConfig(frame_margin=0.1),
    paper_ap=None,
    recipe=TrainConfig(min_pair_iou=0.3, extra_queries=3, box_jitter=0.1),
)
"""As large as `paper`. [ours]"""
