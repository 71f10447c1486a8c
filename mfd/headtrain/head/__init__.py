"""The mask head: image encoder, regions, box and query encoders, mask head, mask scoring."""

from mfd.headtrain.head.model import HeadOutput, MaskHead

__all__ = ["HeadOutput", "MaskHead"]
