"""COCO data: what a data set holds, read and checked before any other work is done with it."""

from mfd.coco.categories import COCO_IDS
from mfd.coco.dataset import CocoDataset, read_dataset, sample_evenly, split_paths
from mfd.coco.records import Annotation, ImageEntry
from mfd.coco.segmentation import decode_segmentation, encode_segmentation

__all__ = [
    "COCO_IDS",
    "Annotation",
    "CocoDataset",
    "ImageEntry",
    "decode_segmentation",
    "encode_segmentation",
    "read_dataset",
    "sample_evenly",
    "split_paths",
]
