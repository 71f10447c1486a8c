"""Our own preset: the paper's head, trained in more and smaller steps on boxes that fit."""

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.presets.preset import Preset

MFD = Preset(
    "mfd",
    table=None,
    config=HeadConfig(),
    paper_ap=None,
    recipe=TrainConfig(batch_size=2, lr=3e-4, min_pair_iou=0.3, ema_decay=0.995),
)
"""What paid on real images, each ingredient measured beside others that did not. [ours]

Steps of two images bring most. It is meant for two views, `--views base,flip`.
"""
