"""What a store records of images and files, so that others in their place are noticed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreImage:
    """One image of a store's list.

    Args:
        image_id: COCO image id.
        file_name: relative to the image folder.
        original_hw: size of the image file, pixels.
        sha256: of the file's bytes, hex.
    """

    image_id: int
    file_name: str
    original_hw: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class ImageRecord:
    """Sizes of one stored image; None in its place says that the image could not be read.

    Args:
        input_hw: size of the detector's input, pixels.
        level_hw: size of every encoder map.
        c1_hw: size of the stage-1 map, (0, 0) where the store leaves it out.
    """

    input_hw: tuple[int, int]
    level_hw: tuple[tuple[int, int], ...]
    c1_hw: tuple[int, int]


@dataclass(frozen=True)
class FileRecord:
    """One file of a unit as it was committed.

    Args:
        size: bytes.
        rows: `chunks.row_digest` of every row of a shard, or of the one chunk of other files; None
            where an earlier mfd wrote the unit, whose checksum was the same for all files of a
            size.
    """

    size: int
    rows: tuple[int, ...] | None = None
