"""Masks for words: prompts in mfd.toml from extraction to predictions, by command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfd import MaskFrozenDETR
from mfd.cache import Store
from mfd.cli import main
from mfd.config import load_project
from mfd.demo import generate
from mfd.headtrain import Run
from tests.detectors.hf.tiny_models import save

SMALL = [f"--set={s}" for s in ("roi_size=8", "box_dim=8", "num_heads=2", "epochs=1")]
WORDS = ["blob", "ring", "star"]


def write_project(prompts: list[str]) -> None:
    Path("mfd.toml").write_text(f'data = "."\ndetector = "hf:model"\nprompts = {prompts}\n')


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stores of a small Grounding DINO of random weights, which looks for three shapes."""
    folder = tmp_path_factory.mktemp("prompts")
    generate(folder, num_train=3, num_val=2, seed=5)
    save("mm-grounding-dino", folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_project(WORDS)
        for split in ("train", "val"):
            assert main(["extract", "--split", split]) == 0
        yield folder


def test_masks_for_words_are_trained_evaluated_and_predicted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(WORDS)  # others write their own
    assert main(["train-head", "--run", "words", *SMALL]) == 0
    assert main(["evaluate", "words", "--json"]) == 0
    named = {row["name"] for row in json.loads(capsys.readouterr().out)["per_category"]}
    assert named & set(WORDS)
    write_project(["a", "b"])  # a run knows its own
    assert Run.open("runs/words").config.detector.prompts == tuple(WORDS)
    model = MaskFrozenDETR.from_pretrained("runs/words")
    image = next(project.glob("val2017/*"))
    found = model(image, min_score=0.0)
    assert {instance.category for instance in found} <= set(WORDS)
    assert found


def test_other_prompts_are_another_store_and_the_trained_head_refuses_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(["blob", "ring"])
    assert main(["extract", "--split", "val"]) == 0
    stores = [
        Store.open(path) for path in Path("stores").iterdir() if (path / "zarr.json").exists()
    ]
    counted = sorted((s.identity.split, len(s.spec.category_ids)) for s in stores)
    assert counted == [("train", 3), ("val", 2), ("val", 3)]
    capsys.readouterr()
    assert main(["train-head", *SMALL]) == 1
    assert "no store" in capsys.readouterr().err


def test_prompts_are_a_list_of_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mfd.toml").write_text('prompts = ["car", "traffic light"]\n')
    assert load_project().project.choice.prompts == ("car", "traffic light")
    Path("mfd.toml").write_text('prompts = "car"\n')
    assert main(["doctor"]) == 1
    assert "prompts must be a list, found 'car'" in capsys.readouterr().err
