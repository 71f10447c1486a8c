"""What each format wrote is read back, by whoever reads it, as what was predicted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from mfd.coco import CocoDataset, decode_segmentation, read_dataset
from mfd.errors import ConfigError
from mfd.headtrain.inference.predict import Predictor
from mfd.headtrain.inference.prediction import Prediction
from mfd.headtrain.inference.write import predict_files
from tests.headtrain.inference.test_polygons import blobs, filled

NAMES = {3: "ring", 7: "a/../b: <c>", 90: "étoile"}


class Known(Predictor):
    """Finds the same in every image of a size: two overlapping masks with holes, and an empty one.

    The masks of an image lie at a place that depends on its first pixel.
    """

    categories = NAMES  # type: ignore[assignment]

    def __init__(self) -> None: ...

    def __call__(self, images: Any, *shown: Any, **options: Any) -> list[list[Prediction]]:  # type: ignore[override]
        return [self.found(image) for image in images]

    def found(self, image: Image.Image) -> list[Prediction]:
        first = image.getpixel((0, 0))[0]  # type: ignore[index]
        masks = [blobs(first + n, (image.height, image.width)) for n in range(2)]
        masks.append(np.zeros_like(masks[0]))
        found = []
        for number, (mask, category) in enumerate(zip(masks, NAMES, strict=True)):
            rle = mask_utils.encode(np.asfortranarray(mask, np.uint8))
            name = NAMES[category]
            box = (0.0, 0.0, float(image.width), float(image.height))
            found.append(Prediction(category, name, 0.9 - number / 4, 0.5, box, rle, number))
        return found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two of one name, in different folders and kinds, and one that lies on its side."""
    made = []
    for number, name in enumerate(("a/cat.png", "b/cat.bmp", "dog.jpg")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (73 + number, 58), (number * 16, 0, 0))
        exif = image.getexif()
        if name == "dog.jpg":
            exif[0x0112] = 6
        image.save(path, exif=exif) if name == "dog.jpg" else image.save(path)
        made.append(path)
    return made


def upright(file: Path) -> Image.Image:
    image = Image.open(file).convert("RGB")
    return image.transpose(Image.Transpose.ROTATE_270) if file.suffix == ".jpg" else image


def expected(file: Path) -> list[Prediction]:
    return Known().found(upright(file))[:2]  # the third has no pixels


def require_same(dataset: CocoDataset, files: Mapping[str, Path], ids: list[int]) -> None:
    """The data set has the masks of every file, category by category, and nothing else."""
    assert {entry.file_name for entry in dataset.images} == set(files)
    for entry in dataset.images:
        wanted = expected(files[entry.file_name])
        objects = dataset.annotations[entry.image_id]
        assert [o.category_id for o in objects] == ids
        for annotation, prediction in zip(objects, wanted, strict=True):
            mask = decode_segmentation(annotation.segmentation, entry.size_hw)
            assert (mask.astype(bool) == prediction.mask).all()


def test_coco_is_read_by_pycocotools(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = predict_files(Known(), files, out, format="coco", image_ids=[5, 6, 99], tolerance=0.0)
    assert written.written == (out / "annotations.json",)
    coco = COCO(str(out / "annotations.json"))
    assert coco.imgs[6]["file_name"] == "b/cat.bmp"
    assert (coco.imgs[99]["height"], coco.imgs[99]["width"]) == (75, 58)
    assert {c["id"]: c["name"] for c in coco.dataset["categories"]} == NAMES
    for image_id, file in zip([5, 6, 99], files, strict=True):
        found = coco.loadAnns(coco.getAnnIds(image_id))
        for annotation, prediction in zip(found, expected(file), strict=True):
            assert (
                decode_segmentation(coco.annToRLE(annotation), prediction.mask.shape)
                == prediction.mask
            ).all()
            assert annotation["area"] == prediction.mask.sum()
            assert annotation["score"] == pytest.approx(prediction.score)
            rows, columns = np.nonzero(prediction.mask)
            corner, far = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            assert annotation["bbox"] == [*corner, far[0] - corner[0], far[1] - corner[1]]


def test_coco_is_read_by_mfd(files: list[Path], tmp_path: Path) -> None:
    predict_files(Known(), files[:2], tmp_path / "out", format="coco", tolerance=0.0)
    dataset = read_dataset(tmp_path / "out/annotations.json", tmp_path / "photos")
    require_same(dataset, {"a/cat.png": files[0], "b/cat.bmp": files[1]}, [3, 7])


def test_yolo_is_read_by_mfd(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_files(Known(), files, out, format="yolo", tolerance=0.0)
    dataset = read_dataset(out / "data.yaml", out / "images")
    assert dataset.categories == dict(enumerate(NAMES.values()))
    named = {"cat.png": files[0], "cat-2.bmp": files[1], "dog.jpg": files[2]}
    require_same(dataset, named, [0, 1])
    for name, file in named.items():
        assert (out / "images" / name).read_bytes() == file.read_bytes()


def test_yolo_says_of_an_image_that_nothing_is_on_it(files: list[Path], tmp_path: Path) -> None:
    class Nothing(Known):
        def found(self, image: Image.Image) -> list[Prediction]:
            return []

    predict_files(Nothing(), files, tmp_path / "out", format="yolo")
    assert (tmp_path / "out/labels/dog.txt").read_bytes() == b""


def test_labelme_has_the_documented_fields(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = predict_files(Known(), files, out, format="labelme", tolerance=0.0)
    assert [path.name for path in written.written] == ["cat.json", "cat-2.json", "dog.json"]
    for path, file in zip(written.written, files, strict=True):
        content = json.loads(path.read_text())
        assert set(content) == {
            "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"
        }  # fmt: skip
        assert (path.parent / content["imagePath"]).resolve() == file
        assert content["imageData"] is None
        size = (content["imageWidth"], content["imageHeight"])
        assert size == upright(file).size
        for shape in content["shapes"]:
            assert set(shape) == {
                "label", "points", "group_id", "shape_type", "flags", "description"
            }  # fmt: skip
            assert shape["shape_type"] == "polygon"
        for number, prediction in enumerate(expected(file)):
            shapes = [shape for shape in content["shapes"] if shape["group_id"] == number]
            assert {shape["label"] for shape in shapes} == {prediction.category}
            corners = [shape["points"] for shape in shapes]
            assert (filled(corners, size[::-1]) == prediction.mask).all()


def test_png_has_maps_and_cut_outs(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_files(Known(), files, out, format="png")
    best, second = expected(files[1])
    instances = np.asarray(Image.open(out / "cat.bmp.instances.png"))
    categories = np.asarray(Image.open(out / "cat.bmp.categories.png"))
    assert instances.dtype == np.uint8
    assert (best.mask & second.mask).any()
    assert (instances == np.where(best.mask, 1, np.where(second.mask, 2, 0))).all()
    assert (categories == np.where(best.mask, 3, np.where(second.mask, 7, 0))).all()
    names = sorted(path.name for path in (out / "cat.bmp.cutouts").iterdir())
    assert names == ["1-ring.png", "2-a----b---c-.png"]
    cut = np.asarray(Image.open(out / "cat.bmp.cutouts/1-ring.png"))
    left, top, width, height = best.mask_box_xywh
    window = (slice(top, top + height), slice(left, left + width))
    assert (cut[..., 3] == best.mask[window] * 255).all()
    assert (cut[..., :3] == np.asarray(upright(files[1]))[window]).all()


def test_numbers_above_255_are_kept(files: list[Path], tmp_path: Path) -> None:
    class High(Known):
        def found(self, image: Image.Image) -> list[Prediction]:
            (first, *_) = super().found(image)
            return [Prediction(1203, "kite", 0.9, 0.9, first.box_xyxy, first.rle, 0)]

    predict_files(High(), files[:1], tmp_path / "out", format="png")
    categories = np.asarray(Image.open(tmp_path / "out/cat.png.categories.png"))
    assert set(np.unique(categories)) == {0, 1203}


@pytest.mark.parametrize("name", ["coco", "yolo", "labelme", "png"])
def test_corrections_are_not_written_over(files: list[Path], tmp_path: Path, name: Any) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/dog.json").write_text("corrected by hand")
    with pytest.raises(ConfigError, match="is not empty; name a new folder with --out"):
        predict_files(Known(), files, tmp_path / "out", format=name)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dog.json"]


def test_tolerance_leaves_corners_out(files: list[Path], tmp_path: Path) -> None:
    sizes = []
    for tolerance in (0.0, 1.0):
        out = tmp_path / f"out{tolerance}"
        predict_files(Known(), files, out, format="coco", tolerance=tolerance)
        sizes.append((out / "annotations.json").stat().st_size)
    assert sizes[1] < sizes[0] / 2
