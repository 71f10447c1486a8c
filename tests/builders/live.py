"""What live training is tried with."""

from mfd.config import DetectorChoice
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig

HEAD = HeadConfig(image_layers=1, box_layers=1, box_dim=8, roi_size=8, num_heads=2, num_points=2)
TRAIN = TrainConfig(
    epochs=2, batch_size=3, lr=1e-3, warmup_steps=2, log_every=2, checkpoint_every=50
)
CHOICE = DetectorChoice("demo", None, 1)
