"""What tells Transformers' families of detectors apart, by the `model_type` of their config.

A detector is what Transformers computes, except where that is not what published weights were
trained as: `restore` says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from mfd.detectors.hf.deimv2 import restore_deimv2


@dataclass(frozen=True)
class Family:
    """Where a family's model has what a detector gives; names are those of its modules.

    Args:
        architecture: the class in Transformers.
        example: a published model of it.
        backbones: names that what turns pixels into maps can have; none where it has no map that
            is finer than the encoder's.
        stage1: names within the backbone that its first stage can have.
        encoder: gives the encoder's maps, or the sequence of all their pixels.
        projections: one module per map, or a single module: makes the maps as wide as the queries.
            They are the encoder's input if it attends to all maps as one sequence, else the
            decoder's input; None where the encoder's maps are as wide already.
        heads: attributes, anywhere in the model, that hold what gives scores, boxes and reference
            points.
        encoder_layer: whose maps are taken, if it has so many (table 14); None: the last.
        sequence_encoder: the encoder's output is one sequence over all maps, and the family masks
            padding; else its output is maps, and padding is seen as image.
        normalised: whether its image processor normalises unless told otherwise.
        scores: as in `DetectorSpec`.
        max_detections: of the official evaluation; None is one per query.
        restore: makes a model of Transformers compute what published weights were trained as, and
            returns its `code_version`.
        unused: beginnings of the names of weights that are not needed then.
        code_version: as in `DetectorSpec`.
        prompted: it looks for what a text says, and has a tokenizer.
        query_tokens: queries are tokens of a plain ViT, beside the image's; see `YolosDetector`.
            It takes images of any size whose sides are multiples of its patches.
    """

    architecture: str
    example: str
    backbones: tuple[str, ...] = ("model.backbone.model",)
    stage1: tuple[str, ...] = (
        "encoder.stages.0",  # ResNet and HGNetV2 in Transformers
        "layer1",  # ResNet in timm
        "_backbone.layer1",
    )
    encoder: str = "model.encoder"
    projections: str | None = "model.input_projection"
    heads: tuple[str, ...] = ("class_labels_classifier", "bbox_predictor", "ref_point_head")
    encoder_layer: int | None = None
    sequence_encoder: bool = True
    normalised: bool = True
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    max_detections: int | None = 100
    restore: Callable[[Any], int] | None = None
    unused: tuple[str, ...] = ()
    code_version: int = 1
    prompted: bool = False
    query_tokens: bool = False

    def restored(self, model: Any) -> "Family":
        """The family of this model, which computes what it was trained as from now on."""
        return self if self.restore is None else replace(self, code_version=self.restore(model))


_RT_DETR = Family(
    "RTDetrForObjectDetection",
    "PekingU/rtdetr_r50vd",
    projections="model.decoder_input_proj",
    heads=("class_embed", "bbox_embed", "enc_score_head", "enc_bbox_head", "pre_bbox_head"),
    sequence_encoder=False,
    normalised=False,
    max_detections=None,
)
_LW_DETR = Family(
    "LwDetrForObjectDetection",
    "AnnaZhang/lwdetr_small_60e_coco",
    backbones=(),  # a plain ViT: all its maps are as coarse as the encoder's
    encoder="model.backbone.projector",
    projections=None,
    heads=("class_embed", "bbox_embed", "enc_out_class_embed", "enc_out_bbox_embed"),
    sequence_encoder=False,
    max_detections=None,
)
_GROUNDING_DINO = Family(
    "GroundingDinoForObjectDetection",
    "IDEA-Research/grounding-dino-tiny",
    backbones=("model.backbone.conv_encoder.model",),
    stage1=("swin.encoder.layers.0", "encoder.stages.0"),
    projections="model.input_proj_vision",
    heads=(
        "class_embed",
        "bbox_embed",
        "reference_points_head",
        "encoder_output_class_embed",
        "encoder_output_bbox_embed",
    ),
    encoder_layer=4,
    max_detections=300,
    prompted=True,
)

FAMILIES = {
    "detr": Family(
        "DetrForObjectDetection", "facebook/detr-resnet-50", scores="softmax", max_detections=None
    ),
    "conditional_detr": Family(
        "ConditionalDetrForObjectDetection", "microsoft/conditional-detr-resnet-50"
    ),
    "dab-detr": Family(
        "DabDetrForObjectDetection",
        "IDEA-Research/dab-detr-resnet-50",
        backbones=("model.backbone.conv_encoder.model",),
        heads=("class_embed", "bbox_embed", "bbox_predictor", "ref_point_head"),
        max_detections=300,
    ),
    "deformable_detr": Family(
        "DeformableDetrForObjectDetection",
        "SenseTime/deformable-detr",
        projections="model.input_proj",
        heads=("class_embed", "bbox_embed", "reference_points"),
        encoder_layer=4,
    ),
    "table-transformer": Family(
        "TableTransformerForObjectDetection",
        "microsoft/table-transformer-detection",
        backbones=("model.backbone.conv_encoder.model",),
        scores="softmax",
        max_detections=None,
    ),
    "rt_detr": _RT_DETR,
    "rt_detr_v2": replace(
        _RT_DETR, architecture="RTDetrV2ForObjectDetection", example="PekingU/rtdetr_v2_r50vd"
    ),
    "d_fine": replace(
        _RT_DETR, architecture="DFineForObjectDetection", example="ustc-community/dfine-large-coco"
    ),
    "deimv2": replace(
        _RT_DETR,
        architecture="Deimv2ForObjectDetection",
        example="Intellindust/DEIMv2_HGNetv2_N_COCO",
        backbones=("model.conv_encoder.model", "model.conv_encoder.spatial_tuning_adapter"),
        stage1=("encoder.stages.0", "stem_pool"),  # HGNetV2; the adapter beside DINOv3
        restore=restore_deimv2,
        unused=("model.enc_output.",),
    ),
    "lw_detr": _LW_DETR,
    "rf_detr": replace(
        _LW_DETR, architecture="RfDetrForObjectDetection", example="Roboflow/rf-detr-base"
    ),
    "yolos": Family(
        "YolosForObjectDetection",
        "hustvl/yolos-small",
        heads=("class_labels_classifier", "bbox_predictor"),
        scores="softmax",
        max_detections=None,
        query_tokens=True,
    ),
    "grounding-dino": _GROUNDING_DINO,
    "mm-grounding-dino": replace(
        _GROUNDING_DINO,
        architecture="MMGroundingDinoForObjectDetection",
        example="openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
    ),
}
