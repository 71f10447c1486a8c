"""What tells Transformers' families of detectors apart, by the `model_type` of their config.

A detector is what Transformers computes. For DEIMv2 that is not what its published weights were
trained as, as of Transformers 5.23: `examples/deimv2.py` says what differs and restores it.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Where a family's model has what a detector gives; names are those of its modules.

    Args:
        architecture: the class in Transformers.
        backbone: turns pixels into maps.
        projections: one module per map, or a single module: makes the maps as wide as the queries.
            They are the encoder's input if it attends to all maps as one sequence, else the
            decoder's input.
        stage1: names within the backbone that its first stage, at stride 4, can have.
        heads: attributes, anywhere in the model, that hold what gives scores, boxes and reference
            points.
        sequence_encoder: the encoder's output is one sequence over all maps, and the family masks
            padding; else its output is a list of maps, and padding is seen as image.
        scores: as in `DetectorSpec`.
        max_detections: of the official evaluation; None is one per query.
    """

    architecture: str
    backbone: str = "model.backbone.model"
    projections: str = "model.input_projection"
    stage1: tuple[str, ...] = (
        "encoder.stages.0",  # ResNet and HGNetV2 in Transformers
        "layer1",  # ResNet in timm
        "_backbone.layer1",
    )
    heads: tuple[str, ...] = ("class_labels_classifier", "bbox_predictor", "ref_point_head")
    sequence_encoder: bool = True
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    max_detections: int | None = 100


_RT_DETR = Family(
    "RTDetrForObjectDetection",
    projections="model.decoder_input_proj",
    heads=("class_embed", "bbox_embed", "enc_score_head", "enc_bbox_head", "pre_bbox_head"),
    sequence_encoder=False,
    max_detections=None,
)

FAMILIES = {
    "detr": Family("DetrForObjectDetection", scores="softmax", max_detections=None),
    "conditional_detr": Family("ConditionalDetrForObjectDetection"),
    "dab-detr": Family(
        "DabDetrForObjectDetection",
        backbone="model.backbone.conv_encoder.model",
        heads=("class_embed", "bbox_embed", "bbox_predictor", "ref_point_head"),
        max_detections=300,
    ),
    "deformable_detr": Family(
        "DeformableDetrForObjectDetection",
        projections="model.input_proj",
        heads=("class_embed", "bbox_embed", "reference_points"),
    ),
    "rt_detr": _RT_DETR,
    "rt_detr_v2": replace(_RT_DETR, architecture="RTDetrV2ForObjectDetection"),
    "d_fine": replace(_RT_DETR, architecture="DFineForObjectDetection"),
    "deimv2": replace(
        _RT_DETR, architecture="Deimv2ForObjectDetection", backbone="model.conv_encoder.model"
    ),
}
