"""ResNet, from Transformers."""

import re

from jaxtyping import Float
from torch import Tensor, nn


class ResNet(nn.Module):
    """A ResNet whose stage 1 has stride 4 and whose stages 2 to 4 are the levels 8, 16 and 32.

    The defaults are ResNet-50 with the stride on the 3x3 convolutions (v1.5).
    """

    def __init__(
        self,
        stem: int = 64,
        widths: tuple[int, ...] = (256, 512, 1024, 2048),
        depths: tuple[int, ...] = (3, 4, 6, 3),
        block: str = "bottleneck",
    ) -> None:
        """Make it with random weights.

        Args:
            stem: channels after the first convolution.
            widths: channels after each stage.
            depths: blocks in each stage.
            block: "bottleneck", or "basic" for two 3x3 convolutions.
        """
        from transformers import ResNetConfig, ResNetModel

        super().__init__()
        config = ResNetConfig(
            embedding_size=stem, hidden_sizes=widths, depths=depths, layer_type=block
        )
        model = ResNetModel(config)
        self.embedder, self.stages = model.embedder, model.encoder.stages
        self.c1_channels = widths[0]
        self.channels = widths[1:]

    def stage1(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H4 W4"]:
        """The output of stage 1, after its last ReLU."""
        return self.stages[0](self.embedder(images))

    def levels(self, c1: Float[Tensor, "B C H4 W4"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """The outputs of the later stages, given that of stage 1."""
        maps = [c1]
        for stage in self.stages[1:]:
            maps.append(stage(maps[-1]))
        return maps[1:]

    @staticmethod
    def official_name(name: str) -> str:
        """The name in torchvision's ResNet, hence in official checkpoints, of a weight here."""
        name = re.sub(r"^embedder\.embedder\.convolution", "conv1", name)
        name = re.sub(r"^embedder\.embedder\.normalization", "bn1", name)
        name = re.sub(r"^stages\.(\d)\.layers\.", lambda m: f"layer{int(m[1]) + 1}.", name)
        name = re.sub(r"layer\.(\d)\.convolution", lambda m: f"conv{int(m[1]) + 1}", name)
        name = re.sub(r"layer\.(\d)\.normalization", lambda m: f"bn{int(m[1]) + 1}", name)
        name = name.replace("shortcut.convolution", "downsample.0")
        return name.replace("shortcut.normalization", "downsample.1")
