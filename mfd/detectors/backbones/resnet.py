"""ResNet, from Transformers."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from mfd.detectors.keys import Renames


class ResNet(nn.Module):
    """A ResNet whose stage 1 has stride 4 and whose stages 2 to 4 are the levels 8, 16 and 32.

    The defaults are ResNet-50 with the stride on the 3x3 convolutions (v1.5).
    """

    official_names: ClassVar[Renames] = (  # torchvision's
        (r"^embedder\.embedder\.convolution", "conv1"),
        (r"^embedder\.embedder\.normalization", "bn1"),
        (r"^stages\.(\d)\.layers\.", lambda found: f"layer{int(found[1]) + 1}."),
        (r"layer\.(\d)\.convolution", lambda found: f"conv{int(found[1]) + 1}"),
        (r"layer\.(\d)\.normalization", lambda found: f"bn{int(found[1]) + 1}"),
        (r"shortcut\.convolution", "downsample.0"),
        (r"shortcut\.normalization", "downsample.1"),
    )

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
