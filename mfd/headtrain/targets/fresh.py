"""One image's targets made on the spot, for a detector that runs while the head is trained."""

from collections.abc import Sequence

from mfd.coco import Annotation, ImageEntry
from mfd.detectors import DetectorSpec, ImageFeatures
from mfd.errors import TrainingError
from mfd.headtrain.targets.image import ImageTargets, image_targets
from mfd.headtrain.targets.view_map import ViewMap


def fresh_targets(
    features: ImageFeatures,
    annotations: Sequence[Annotation],
    image: ImageEntry,
    spec: DetectorSpec,
    view: ViewMap | None = None,
) -> ImageTargets:
    """The targets that `build_targets` would keep of these features.

    Args:
        features: float32, on any device.
        annotations: of the image, crowd regions included.
        view: how the detector saw the image; None: whole and upright.

    Raises:
        TrainingError: logits or boxes are not finite.
        DataError: a malformed segmentation.
    """
    logits, boxes = features.logits.detach().cpu(), features.boxes.detach().cpu()
    if not (logits.isfinite().all() and boxes.isfinite().all()):
        raise TrainingError(
            f"the detector's output for image {image.image_id} ({image.file_name}) holds NaN or "
            "infinity; look at the image, or train with precision=float32"
        )
    return image_targets(logits, boxes, annotations, image, spec, view)[0]
