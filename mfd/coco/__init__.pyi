from .categories import (COCO_IDS as COCO_IDS)
from .dataset import (CocoDataset as CocoDataset, read_dataset as read_dataset, sample_evenly as sample_evenly, split_paths as split_paths)
from .records import (Annotation as Annotation, ImageEntry as ImageEntry)
from .segmentation import (decode_segmentation as decode_segmentation, encode_segmentation as encode_segmentation)
