"""The detectors of the paper, from their official checkpoints as published."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from mfd.detectors import dino, hdetr
from mfd.detectors.checkpoint import read_checkpoint
from mfd.detectors.deformable import DeformableDetector, OfficialDetector
from mfd.errors import DetectorError

ENCODER_LAYER = 4  # whose maps the paper uses (table 14)

OFFICIAL: dict[str, OfficialDetector] = {
    **hdetr.DETECTORS,
    **dino.DETECTORS,
}


def load_official(
    name: str,
    weights: str | Path | None,
    encoder_layer: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> DeformableDetector:
    """A published detector with its weights, on the CPU; freezing it is the caller's part.

    Args:
        name: a key of `OFFICIAL`.
        weights: the official checkpoint; see `read_checkpoint`.
        encoder_layer: layer whose maps are returned (1-based); 4 by default.
        say: is told, in one line each, what was taken off the weights' names and of another number
            of categories than the published one.

    Raises:
        DetectorError: if the checkpoint is absent or another detector's, or there is no such layer.
    """
    detector = OFFICIAL[name]
    if weights is None:
        raise DetectorError(
            f"the detector {name} needs its official checkpoint, published at {detector.source}; "
            "give its path with --weights"
        )
    layer = ENCODER_LAYER if encoder_layer is None else encoder_layer
    found = read_checkpoint(weights, detector.share)
    built = build_official(name, detector, found.weights, layer)
    if found.remark:
        say(f"{weights}: {found.remark}")
    if (count := len(built.spec.category_ids)) != detector.config.num_classes:
        say(f"{weights}: {count} categories, counted 0 to {count - 1} as in its training")
    return built


def build_official(
    name: str, detector: OfficialDetector, state: Mapping[str, Tensor], encoder_layer: int
) -> DeformableDetector:
    """The detector with the weights of an official state dict; see `load_official`."""
    detector = detector.adapted_to(state)
    keys = detector.key_map()
    if problem := keys.mismatch(state):
        advice = _advice(name, keys.share(state), state)
        raise DetectorError(f"the checkpoint does not fit {name}: {problem}; {advice}")
    return detector.build(name, keys.translate(state), encoder_layer)


def _advice(name: str, share: float, state: Mapping[str, Tensor]) -> str:
    """Which detector most of the keys belong to, and what to do."""
    shares = {other: detector.share(state) for other, detector in OFFICIAL.items() if other != name}
    likely = max(shares, key=lambda other: shares[other])
    if shares[likely] > share:
        return f"it looks like {likely}: use --detector {likely}"
    if share < 0.5:
        return f"mfd knows no detector with such keys, only {', '.join(OFFICIAL)}"
    return "it looks changed or truncated; check the program that wrote it, or download it again"
