"""Annotations whose categories have other ids and spellings than the detector's, by command."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfd.cli import main
from mfd.demo import CATEGORIES, generate
from tests.builders.figures import untimed

SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=1")]


def renumber(path: Path) -> None:
    """Other ids and another spelling for every category, in a file that means the same."""
    content = json.loads(path.read_text())
    new = {category["id"]: 7 * place for place, category in enumerate(content["categories"])}
    for category in content["categories"]:
        category |= {"id": new[category["id"]], "name": category["name"].upper() + "_"}
    for annotation in content["annotations"]:
        annotation["category_id"] = new[annotation["category_id"]]
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the demo's detector and its data twice, once renumbered."""
    folder = tmp_path_factory.mktemp("project")
    generate(folder / "coco", num_train=4, num_val=3, seed=5)
    shutil.copytree(folder / "coco", folder / "own")
    for path in (folder / "own/annotations").iterdir():
        renumber(path)
    (folder / "mfd.toml").write_text('data = "coco"\ndetector = "demo"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for split in ("train", "val"):
            assert main(["extract", "--split", split]) == 0
        yield folder


def test_categories_of_other_ids_train_and_score_as_the_detectors_own(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = []
    for data in ("coco", "own"):
        assert main(["train-head", "--run", data, "--data", data, *SMALL]) == 0
        said = capsys.readouterr().err
        assert ("7 STAR_" in said) == ("->  3 star" in said) == (data == "own")
        assert main(["evaluate", data, "--data", data, "--json"]) == 0
        figures.append(untimed(capsys.readouterr().out))
    assert figures[0] == figures[1]
    assert figures[0]["box_ap"] > 0.3
    heads = [Path(f"runs/{data}/head.safetensors").read_bytes() for data in ("coco", "own")]
    assert heads[0] == heads[1]


def test_a_class_the_detector_does_not_know_is_said_in_the_same_words_everywhere(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "own/annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    for category in content["categories"]:
        category["name"] = f"balloon {category['id']}"
    (project / "balloons.json").write_text(json.dumps(content))
    given = ["--annotations", "balloons.json", "--images", "own/val2017", "--split", "val"]
    assert main(["train-head", "--run", "known", *SMALL]) == 0  # for `evaluate`
    capsys.readouterr()
    words = "objects are of classes that the detector does not know ('balloon 0'"
    cure = "it knows ring, star, crescent, gear, cross and 2 more; no renumbering helps"
    for command, code in (("extract", 0), ("train-head", 1), ("evaluate", 1), ("doctor", 1)):
        assert main([command, *given]) == code
        said = "".join(capsys.readouterr())
        assert words in said
        assert cure in said
        assert "train-head --set class_agnostic=true" in said


def test_mfd_toml_says_which_category_is_which(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((project / "own/annotations/instances_val2017.json").read_text())
    used = {annotation["category_id"] for annotation in content["annotations"]}
    first, second = [c for c in content["categories"] if c["id"] in used][:2]
    known = {name.upper() + "_": (key, name) for key, (name, _) in CATEGORIES.items()}
    (key, name), (other_key, other) = known[first["name"]], known[second["name"]]
    first["name"], second["name"] = "kazoo", f"{other}s"
    (project / "renamed.json").write_text(json.dumps(content))
    given = ["--annotations", "renamed.json", "--images", "own/val2017", "--split", "val"]
    assert main(["doctor", *given]) == 1
    assert f"may be '{other}'; say it under [categories] in mfd.toml" in capsys.readouterr().out
    toml = project / "mfd.toml"
    before = toml.read_text()
    toml.write_text(f'{before}[categories]\nkazoo = "{name}"\n{other}s = {other_key}\n')
    try:
        assert main(["doctor", *given]) == 0
        said = capsys.readouterr().out
        assert re.search(rf"{first['id']} kazoo +->  {key} {name}\n", said)
        assert re.search(rf"{second['id']} {other}s +->  {other_key} {other}\n", said)
    finally:
        toml.write_text(before)
