"""Data of one's own without a flag: [data] in mfd.toml, YOLO's folders, Roboflow's exports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mfd.cli import main
from mfd.demo import generate

SPLITS = {"train": 4, "val": 3}


def one_polygon_objects(path: Path) -> dict[str, Any]:
    """The file without what YOLO cannot say: crowds, holes and objects of several parts."""
    content: dict[str, Any] = json.loads(path.read_text())
    content["annotations"] = [
        a
        for a in content["annotations"]
        if isinstance(a["segmentation"], list) and len(a["segmentation"]) == 1
    ]
    return content


def generated(folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """A generated data set in COCO's layout: of each split what YOLO can say of it."""
    generate(folder, *SPLITS.values(), seed=seed)
    return {
        split: one_polygon_objects(folder / f"annotations/instances_{split}2017.json")
        for split in SPLITS
    }


def write_yolo(folder: Path, contents: dict[str, dict[str, Any]], images: Path) -> None:
    """Roboflow's YOLO layout, images stored anew under names that sort as their ids."""
    names = [category["name"] for category in contents["train"]["categories"]]
    number = {c["id"]: place for place, c in enumerate(contents["train"]["categories"])}
    for split, content in contents.items():
        for part in ("images", "labels"):
            (folder / split / part).mkdir(parents=True)
        for image in content["images"]:
            name = image["file_name"]
            (folder / split / "images" / name).write_bytes(
                (images / f"{split}2017" / name).read_bytes()
            )
            lines = []
            for a in content["annotations"]:
                if a["image_id"] == image["id"]:
                    sides = (image["width"], image["height"])
                    xy = [v / sides[i % 2] for i, v in enumerate(a["segmentation"][0])]
                    lines.append(" ".join([str(number[a["category_id"]]), *map(repr, xy)]))
            (folder / split / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(
        f"train: ../train/images\nval: ../val/images\nnc: {len(names)}\nnames: {names}\n"
    )


def figures(folder: Path, patch: pytest.MonkeyPatch, capsys: Any, toml: str) -> dict[str, Any]:
    """What a project finds of its val split without a head, once doctor is content."""
    (folder / "mfd.toml").write_text(toml)
    patch.chdir(folder)
    assert main(["doctor"]) == 0, capsys.readouterr().out
    assert main(["extract", "--split", "val"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--baselines", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_yolo_and_data_tables_find_the_ap_of_the_same_coco_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = generated(tmp_path / "coco", seed=6)
    write_yolo(tmp_path / "yolo", contents, tmp_path / "coco")
    table = 'detector = "demo"\n[data]\n'
    for split, content in contents.items():
        (tmp_path / f"coco/{split}.json").write_text(json.dumps(content))
        table += f'{split}.images = "{split}2017"\n{split}.annotations = "{split}.json"\n'
    coco = figures(tmp_path / "coco", monkeypatch, capsys, table)
    yolo = figures(tmp_path / "yolo", monkeypatch, capsys, 'data = "."\ndetector = "demo"\n')
    assert coco["box_ap"] > 0.3
    assert coco["mask_ap_filled_boxes"] > 0
    for key in ("box_ap", "box_ap50", "box_ap75", "mask_ap_filled_boxes", "mask_ap_untrained"):
        assert yolo[key] == pytest.approx(coco[key], abs=1e-9)


def test_roboflows_yolo_folder_goes_from_labels_to_ap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = generated(tmp_path / "coco", seed=7)
    write_yolo(tmp_path, contents, tmp_path / "coco")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mfd.toml").write_text('data = "."\ndetector = "demo"\n')
    small = ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=1")
    assert main(["extract"]) == main(["extract", "--split", "val"]) == 0
    assert main(["train-head", *(f"--set={s}" for s in small)]) == 0
    assert "star" in capsys.readouterr().err
    assert main(["evaluate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["box_ap"] > 0.3
    assert found["mask_ap"] is not None
    assert {row["name"] for row in found["per_category"]} >= {"ring", "star", "blob"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "1 2 3 4 5 6 7\n" + text, "coordinates out of 0..1: 1 of"),
        (lambda text: "99 0.1 0.1 0.5 0.1 0.5 0.5\n" + text, "unknown category: 1 of"),
        (None, "images without a label file: 1 of 3"),
    ],
    ids=["pixels", "class", "missing"],
)
def test_faults_of_labels_are_named_by_doctor(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], str] | None,
    words: str,
) -> None:
    contents = generated(tmp_path / "coco", seed=7)
    write_yolo(tmp_path, contents, tmp_path / "coco")
    label = min((tmp_path / "val/labels").iterdir())
    if change is None:
        label.unlink()
    else:
        label.write_text(change(label.read_text()))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--data", ".", "--detector", "demo", "--split", "val"]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if words in line)
    assert line.startswith("BAD")


def test_a_split_that_mfd_toml_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    (tmp_path / "mfd.toml").write_text('[data]\nday.images = "."\nday.annotations = "day.json"\n')
    assert main(["extract", "--split", "dya"]) == 1
    assert "[data] in mfd.toml has no split 'dya'; did you mean 'day'?" in capsys.readouterr().err
