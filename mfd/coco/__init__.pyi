from .dataset import CocoDataset as CocoDataset
from .dataset import read_dataset as read_dataset
from .dataset import sample_evenly as sample_evenly
from .dataset import split_paths as split_paths
from .records import Annotation as Annotation
from .records import ImageEntry as ImageEntry
from .segmentation import decode_segmentation as decode_segmentation
from .segmentation import encode_segmentation as encode_segmentation
