"""Grounding DINO with a fixed list of prompts: what is read, what is kept, what is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from mfd.detectors import load_detector
from mfd.detectors.hf.prompts import prompt_logits
from mfd.errors import DetectorError
from mfd.images import collate_images
from tests.detectors.hf.tiny_models import build, mean_logits, save, text_of, tokenizer

NAME = "mm-grounding-dino"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(NAME, tmp_path_factory.mktemp(NAME))


def test_categories_are_the_prompts_and_scores_those_of_transformers(folder: str) -> None:
    prompts = ("Traffic Light", " a zebra ears ", "car")  # several tokens, spelt ones, and one
    detector = load_detector(folder, prompts=prompts)
    assert detector.spec.names == {0: "Traffic Light", 1: "a zebra ears", 2: "car"}
    image, padding_mask = collate_images([torch.randn(3, 96, 128)])
    found = detector(image, padding_mask)
    text = text_of(prompts, 1)
    with torch.no_grad():
        own = build(NAME)(pixel_values=image, **text)
    wanted = mean_logits(own.logits, text["input_ids"])
    torch.testing.assert_close(found.logits, wanted, rtol=0, atol=1e-4)
    # a pixel changed by 1e-7 of its value moves these by 1e-5
    torch.testing.assert_close(found.boxes, own.pred_boxes, rtol=0, atol=5e-5)


def test_scores_near_zero_and_one_keep_their_digits() -> None:
    logits = torch.tensor([[[0.0, -40.0, 0.0, 30.0, 50.0, 0.0, 3.0]]])
    found = prompt_logits(logits, [1, 2, 1])
    # the mean of two scores next to 1 is as far from it as the mean of their distances
    high = -torch.log((torch.tensor([-30.0, -50.0]).double().exp()).mean()).float()
    torch.testing.assert_close(found, torch.tensor([[[-40.0, high, 3.0]]]))


def test_the_text_encoder_runs_once_and_goes(folder: str) -> None:
    detector: Any = load_detector(folder, prompts=("car", "dog"))
    names = {name for name, _ in detector.named_parameters()}
    assert not any("text_backbone" in name for name in names)
    assert any("text_backbone" in name for name, _ in build(NAME).named_parameters())
    assert detector.model.model.text_backbone.features.shape == (6, 16)  # with four separators


def test_prompts_are_part_of_the_digest_and_their_case_is_not(folder: str) -> None:
    digests = [
        load_detector(folder, prompts=prompts).spec.weights_digest
        for prompts in (("car", "dog"), ("Car", "dog"), ("dog", "car"), ("car",))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_copied_detector_reads_its_own_text(folder: str) -> None:
    detector: Any = load_detector(folder, prompts=("car", "dog"))
    other = copy.deepcopy(detector)
    batch = collate_images([torch.randn(3, 64, 96)])
    assert torch.equal(other(*batch).logits, detector(*batch).logits)
    other.model.model.text_backbone.features.zero_()
    assert not torch.equal(other(*batch).logits, detector(*batch).logits)


@pytest.mark.parametrize(
    ("prompts", "problem"),
    [
        ((), r'found no prompts; list its categories .* prompts = \["car"'),
        (("car", "Car "), "prompts has 'car' twice"),
        (("car. dog",), r"'car. dog' is not the name of one category"),
        (("car", "is it?"), r"'is it\?' is not the name of one category"),
        (("car", " "), "' ' is not the name of one category"),
        (("car", "车"), "'车' has words or signs that hf:.* cannot read"),
        (
            tuple(f"{first}{second}" for first in "abcdefgh" for second in "rstuvwxyz"),
            "72 prompts are 218 tokens, and hf:.* reads 200 at most",
        ),
    ],
)
def test_prompts_that_cannot_be_categories_are_refused(
    folder: str, prompts: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(DetectorError, match=problem):
        load_detector(folder, prompts=prompts)


@pytest.mark.parametrize("name", ["demo", "hdetr-r50", "rf-detr", "detr"])
def test_detectors_that_read_no_text_refuse_prompts(name: str, tmp_path: Path) -> None:
    name = save(name, tmp_path) if name == "detr" else name
    with pytest.raises(DetectorError, match="finds what it was trained on, found prompts 'car'"):
        load_detector(name, prompts=("car",))


def test_a_custom_detector_is_given_the_prompts(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def detector(prompts=()):\n    raise ValueError(f'got {prompts}')\ndef deaf():\n    pass\n"
    )
    with pytest.raises(DetectorError, match=r"got \('car',\)"):
        load_detector(f"{tmp_path}/own.py:detector", prompts=("car",))
    with pytest.raises(DetectorError, match=r"cannot be called with prompts=\.\.\."):
        load_detector(f"{tmp_path}/own.py:deaf", prompts=("car",))


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    name = save(NAME, tmp_path)
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(DetectorError, match=r"has no tokenizer\.json or vocab\.txt"):
        load_detector(name, prompts=("car",))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    name = save(NAME, tmp_path)
    other: Any = tokenizer()
    moved = {word: number + 7 for word, number in other.get_vocab().items()}
    type(other)(vocab=moved).save_pretrained(tmp_path)
    with pytest.raises(DetectorError, match="tokenizer with other numbers than its model"):
        load_detector(name, prompts=("car",))
