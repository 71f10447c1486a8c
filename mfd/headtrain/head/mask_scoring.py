"""The mask scoring head of eq. 12, after Mask Scoring R-CNN (arXiv:1903.00241)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

HIDDEN = 128
"""Width of the two hidden layers."""

PRIOR_IOU = 0.7
"""What a class that was never trained on is estimated at, so that it leaves the ranking alone."""


class MaskScoring(nn.Module):
    """Three 3x3 convolutions of stride 2 and three linear layers: each mask's IoU, by class."""

    def __init__(self, dim: int, roi_size: int, num_classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential()
        for channels in (dim + 1, dim, dim):
            convolution = nn.Conv2d(channels, dim, kernel_size=3, stride=2, padding=1)
            self.convolutions.extend([convolution, nn.ReLU()])
        self.perceptron = nn.Sequential(
            nn.Linear((roi_size // 8) ** 2 * dim, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, num_classes),
        )
        self._init_as_source()

    def _init_as_source(self) -> None:
        """Mask Scoring R-CNN's: He's for convolutions, Caffe2's "Xavier" for linear layers.

        The last layer begins near a constant [ours]: with few images many classes are hardly
        trained, and random estimates of theirs cost more mask AP than scoring gains.
        """
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 4:
                nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
            else:
                nn.init.kaiming_uniform_(parameter, a=1)
        last = self.perceptron[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.constant_(last.bias, PRIOR_IOU)

    def forward(
        self, mask_logits: Float[Tensor, "N s s"], regions: Float[Tensor, "N s s D"]
    ) -> Float[Tensor, "N K"]:
        """The IoU with its object that each mask would have if it were of each class.

        The estimate judges the mask and does not shape it: no gradient leaves this block. [ours]
        With gradients into the regions the masks were worse: mask AP 0.161 after three epochs on
        343 images, 0.169 with scoring left out, 0.170 as it stands (means of two seeds); after ten
        epochs there was no difference.
        """
        probabilities = mask_logits.sigmoid()[..., None].to(regions)
        inputs = torch.cat([probabilities, regions], -1).detach().permute(0, 3, 1, 2)
        return self.perceptron(self.convolutions(inputs).flatten(1))
