"""The generated data set, read with pycocotools."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mfd.demo import generate

# pycocotools 2.0.11's decode with numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    generate(out, num_train=40, num_val=3, seed=3)
    return out


@pytest.fixture(scope="module")
def train(folder):
    coco = COCO()
    text = (folder / "annotations" / "instances_train2017.json").read_text()
    coco.dataset = json.loads(text)
    coco.createIndex()
    return coco


def test_boxes_and_areas_follow_from_the_masks(train):
    for annotation in train.anns.values():
        mask = train.annToMask(annotation)
        assert annotation["area"] == mask.sum() > 0
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        size = [columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        assert annotation["bbox"] == [columns[0], rows[0], *size]


def test_every_way_to_write_a_mask_occurs(train):
    segmentations = [a["segmentation"] for a in train.anns.values() if not a["iscrowd"]]
    polygons = [s for s in segmentations if isinstance(s, list)]
    counts = {type(s["counts"]) for s in segmentations if isinstance(s, dict)}
    assert len(polygons) > len(segmentations) / 2
    assert {len(s) > 1 for s in polygons} == {True, False}
    assert counts == {str, list}
    assert any(a["iscrowd"] for a in train.anns.values())


def test_files_have_the_sizes_that_the_annotations_say(folder, train):
    sizes = set()
    for image in train.imgs.values():
        with Image.open(folder / "train2017" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
        sizes.add(image["width"] > image["height"])
        assert min(image["width"], image["height"]) >= 160
        assert max(image["width"], image["height"]) <= 288
    assert sizes == {True, False}


def test_a_picture_depends_on_seed_split_and_number_only(folder, tmp_path):
    generate(tmp_path, num_train=2, num_val=1, seed=3)
    generate(tmp_path / "other", num_train=1, num_val=0, seed=2)
    names = sorted(path.name for path in (tmp_path / "train2017").iterdir())
    for name in names:
        again = (tmp_path / "train2017" / name).read_bytes()
        assert again == (folder / "train2017" / name).read_bytes()
    first = (tmp_path / "train2017" / names[0]).read_bytes()
    assert first != (tmp_path / "val2017" / names[0]).read_bytes()
    assert first != (tmp_path / "other" / "train2017" / names[0]).read_bytes()
