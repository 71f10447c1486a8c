"""YOLO's folders: the same objects as in a COCO file, and what is wrong with each label."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.coco import check_consistency, decode_segmentation, read_dataset, split_paths
from mfd.errors import DataError

SIZE_HW = (60, 90)
POLYGON = "1 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8"
BOX = "0 0.5 0.5 0.2 0.4"


def make(folder: Path, labels: dict[str, str | None], split: str = "train") -> tuple[Path, Path]:
    """Roboflow's layout with one image for each entry; None leaves its label file out."""
    images = folder / split / "images"
    images.mkdir(parents=True)
    (folder / split / "labels").mkdir()
    for name, text in labels.items():
        pixels = np.zeros((*SIZE_HW, 3), np.uint8)
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(images / name)
        if text is not None:
            label = folder / split / "labels" / Path(name).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(text)
    (folder / "data.yaml").write_text(
        f"{split}: ../{split}/images\nval: ../valid/images\nnc: 2\nnames: ['bolt', 'wing nut']\n"
    )
    return split_paths(folder, split)


def test_labels_are_polygons_and_boxes_in_pixels(tmp_path: Path) -> None:
    dataset = read_dataset(*make(tmp_path, {"b.jpg": "", "a/c.png": f"{POLYGON}\n\n{BOX}\n"}))
    assert dataset.categories == {0: "bolt", 1: "wing nut"}
    assert [(i.image_id, i.file_name, i.size_hw) for i in dataset.images] == [
        (1, "a/c.png", SIZE_HW),
        (2, "b.jpg", SIZE_HW),
    ]
    polygon, box = dataset.annotations[1]
    assert (polygon.category_id, box.category_id) == (1, 0)
    np.testing.assert_allclose(polygon.bbox_xywh, (9, 12, 36, 36))
    np.testing.assert_allclose(polygon.segmentation, [[9, 12, 45, 12, 45, 48, 9, 48]])
    mask = decode_segmentation(polygon.segmentation, SIZE_HW)
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[12:48, 9:45] = 1
    np.testing.assert_array_equal(mask, expected)
    assert polygon.area == 36 * 36
    np.testing.assert_allclose(box.bbox_xywh, (36, 18, 18, 24))
    assert not box.has_mask
    assert check_consistency(dataset) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 9 12 45 12 45 48", "coordinates out of 0..1: 1 of 2"),
        ("1 0.1 0.2 0.5 0.2 0.5 -0.2", "coordinates out of 0..1: 1 of 2"),
        ("5 0.1 0.2 0.5 0.2 0.5 0.8", "unknown category: 1 of 2"),
        ("bolt 0.1 0.2 0.5 0.2 0.5 0.8", "label that is not of numbers: 1 of 2"),
        ("1 nan 0.2 0.5 0.2 0.5 0.8", "label that is not of numbers: 1 of 2"),
        ("0.5 0.1 0.2 0.5 0.2 0.5 0.8", "class that is no whole number: 1 of 2"),
        ("1 0.1 0.2 0.5 0.2 0.5", "label of a wrong length: 1 of 2"),
        ("1 0.1 0.2 0.5 0.2", None),
        ("1 0.1 0.2 0.5 0.2 1.005 0.8", None),
    ],
)
def test_a_faulty_label_is_counted_by_kind_and_can_be_left_out(
    tmp_path: Path, line: str, fault: str | None
) -> None:
    paths = make(tmp_path, {"a.jpg": f"{POLYGON}\n{line}\n"})
    if fault is None:
        assert len(read_dataset(*paths).annotations[1]) == 2
        return
    with pytest.raises(DataError, match=fault) as refused:
        read_dataset(*paths)
    assert "--skip-invalid" in str(refused.value)
    dataset = read_dataset(*paths, skip_invalid=True)
    assert [a.category_id for a in dataset.annotations[1]] == [1]
    assert [str(each).partition(" (")[0] for each in dataset.skipped_by_kind()] == [fault]


def test_labels_that_are_missing_are_counted_and_no_labels_at_all_are_refused(
    tmp_path: Path,
) -> None:
    dataset = read_dataset(*make(tmp_path / "some", {"a.jpg": POLYGON, "b.jpg": None}))
    (finding,) = check_consistency(dataset)
    assert str(finding).startswith("images without a label file: 1 of 2 (b.jpg)")
    with pytest.raises(DataError, match=r"none of the 1 images .* expected .*labels/a\.txt"):
        read_dataset(*make(tmp_path / "none", {"a.jpg": None}))


def test_an_image_that_is_none_is_counted(tmp_path: Path) -> None:
    paths = make(tmp_path, {"a.jpg": POLYGON, "b.jpg": POLYGON})
    (paths[1] / "b.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image that cannot be read: 1 of 2 \(.*b\.jpg"):
        read_dataset(*paths)
    assert len(read_dataset(*paths, skip_invalid=True).images) == 1


def test_labels_belong_to_upright_pixels(tmp_path: Path) -> None:
    paths = make(tmp_path, {"a.jpg": POLYGON})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE_HW[::-1]).save(paths[1] / "a.jpg", exif=exif)
    (image,) = read_dataset(*paths).images
    assert image.size_hw == SIZE_HW[::-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", "is not a YAML file"),
        ("train: images", "has no 'names'"),
        ("names: [a]\nnc: 2\ntrain: images", "has 1 names and nc: 2"),
        ("names: a\ntrain: images", "has names 'a', expected a list"),
        ("names: [a]\ntest: images", "there is no split 'train' in .*, expected 'test'"),
        ("names: [a]\ntrain: nowhere", "no folder .*nowhere"),
        ("names: [a]\ntrain: train.txt", "mfd reads no lists"),
        ("names: [a]\ntrain: [a, b]", "mfd reads no lists"),
    ],
)
def test_a_wrong_description_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_dataset(*split_paths(tmp_path, "train"))


def test_a_folder_counts_from_path_and_names_may_be_numbered(tmp_path: Path) -> None:
    make(tmp_path, {"a.jpg": POLYGON})
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "own.yaml").write_text(
        f"path: {tmp_path}\ntrain: train/images\nnames:\n  0: bolt\n  1: nut\n"
    )
    dataset = read_dataset(*split_paths(other / "own.yaml", "train"))
    assert dataset.categories == {0: "bolt", 1: "nut"}
    assert len(dataset.annotations[1]) == 1


def test_an_edited_label_changes_the_digest(tmp_path: Path) -> None:
    paths = make(tmp_path, {"a.jpg": POLYGON})
    before = read_dataset(*paths).annotations_sha256
    assert read_dataset(*paths).annotations_sha256 == before
    (tmp_path / "train/labels/a.txt").write_text(BOX)
    assert read_dataset(*paths).annotations_sha256 != before
