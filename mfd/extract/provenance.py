"""What is noted about how a store was made; it takes no part in the store's identity."""

import torch

import mfd
from mfd.config import DetectorChoice
from mfd.detectors import precision_on
from mfd.extract.config import ExtractConfig


def provenance(
    choice: DetectorChoice, config: ExtractConfig, device: torch.device
) -> dict[str, str]:
    """Texts to keep with a new store: how its detector is loaded again, and by what it ran."""
    return {
        **choice.notes(),
        "precision": precision_on(device, config.precision),
        "device": str(device),
        "mfd": mfd.__version__,
        "torch": torch.__version__,
    }
