"""Categories of annotations and detectors that mean the same under other ids and spellings."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mfd.coco import (
    COCO_IDS,
    COCO_NAMES,
    Annotation,
    Annotations,
    CocoDataset,
    ImageEntry,
    match_categories,
)
from mfd.errors import ConfigError, DataError

VOC = {1: "aeroplane", 2: "bicycle", 3: "bird", 5: "bottle", 9: "chair", 11: "diningtable"}
VOC |= {14: "motorbike", 15: "person", 16: "pottedplant", 18: "sofa", 20: "tvmonitor"}
VOC_IN_COCO = {1: 5, 2: 2, 3: 16, 5: 44, 9: 62, 11: 67, 14: 4, 15: 1, 16: 64, 18: 63, 20: 72}


def annotated(
    categories: Mapping[int, str], counts: Mapping[int, int] | None = None
) -> CocoDataset:
    """A data set with `counts` objects of each category, one by default."""
    ids = [key for key, n in (counts or dict.fromkeys(categories, 1)).items() for _ in range(n)]
    objects = tuple(
        Annotation(number, 7, key, (1, 2, 3, 4), 12, False, None)
        for number, key in enumerate(ids, start=1)
    )
    image = ImageEntry(7, "a.jpg", (40, 50))
    found = Annotations.of(objects)
    return CocoDataset(Path("own.json"), Path(), (image,), dict(categories), found)


def categories_of(dataset: CocoDataset) -> list[int]:
    return [a.category_id for a in dataset.annotations[7]]


def test_categories_of_voc_are_found_among_cocos_whatever_their_ids() -> None:
    matched = match_categories(annotated(VOC), COCO_IDS, COCO_NAMES)
    assert categories_of(matched.dataset) == [VOC_IN_COCO[key] for key in VOC]
    assert matched.dataset.categories == {i: COCO_NAMES[i] for i in VOC_IN_COCO.values()}
    assert matched.note == ""
    table = matched.table().splitlines()
    assert len(table) == 1 + len(VOC) - 1  # bicycle is 2 in both
    assert "  1 aeroplane     ->  5 airplane" in table
    assert matched.dataset.renumbered == tuple((o, n) for o, n in VOC_IN_COCO.items() if o != n)


def test_a_table_shows_every_other_spelling_and_a_few_of_the_same() -> None:
    counted = dict(enumerate(COCO_NAMES.values()))
    counted[4], counted[77] = "aeroplane", "teddy-bear"
    table = match_categories(annotated(counted), COCO_IDS, COCO_NAMES).table().splitlines()
    assert [line.split()[0] for line in table[1:8]] == ["4", "77", "0", "1", "2", "3", "5"]
    assert table[8] == "  and 73 more of equal names"


@pytest.mark.parametrize("name", ["Cell_Phone", "cellphone", "CELL-PHONE", "mobile phone"])
def test_categories_are_the_same_but_for_case_and_signs(name: str) -> None:
    matched = match_categories(annotated({3: name}), COCO_IDS, COCO_NAMES)
    assert categories_of(matched.dataset) == [77]


def test_categories_with_the_detectors_ids_and_names_leave_the_data_set_as_it_is() -> None:
    dataset = annotated(COCO_NAMES)
    matched = match_categories(dataset, COCO_IDS, COCO_NAMES)
    assert matched.dataset == dataset
    assert matched.table() == ""


@pytest.mark.parametrize(
    ("names", "categories"),
    [({}, {1: "bolt", 3: "nut"}), (COCO_NAMES, {1: "1", 3: "3"})],
    ids=["detector", "annotations"],
)
def test_categories_without_names_on_one_side_are_matched_by_id(
    names: Mapping[int, str], categories: Mapping[int, str]
) -> None:
    matched = match_categories(annotated(categories), COCO_IDS, names)
    assert categories_of(matched.dataset) == [1, 3]
    assert matched.dataset.categories == {i: names.get(i, n) for i, n in categories.items()}
    assert matched.note == ""


def test_a_class_the_detector_does_not_know_is_said_and_takes_no_id_of_its() -> None:
    dataset = annotated({1: "balloon", 2: "person", 99: "kazoo"}, {1: 3, 2: 4})
    matched = match_categories(dataset, COCO_IDS, COCO_NAMES)
    assert categories_of(matched.dataset) == [100] * 3 + [1] * 4
    assert matched.dataset.categories == {1: "person", 100: "balloon", 99: "kazoo"}
    assert not matched.nothing_known
    for part in (
        "3 of 7 objects are of classes that the detector does not know ('balloon')",
        "it knows person, bicycle, car, motorcycle, airplane and 75 more",
        "no renumbering helps",
        "--set class_agnostic=true",
    ):
        assert part in matched.note
    assert match_categories(annotated({1: "balloon"}), COCO_IDS, COCO_NAMES).nothing_known


def test_an_unclear_category_is_asked_for_if_objects_have_it() -> None:
    categories = {1: "person", 2: "cars"}
    with pytest.raises(DataError, match=r"'cars' \(2 objects\) may be 'car'; say it under \[categ"):
        match_categories(annotated(categories, {1: 1, 2: 2}), COCO_IDS, COCO_NAMES)
    unused = match_categories(annotated(categories, {1: 1}), COCO_IDS, COCO_NAMES)
    assert categories_of(unused.dataset) == [1]


def test_a_name_of_several_of_the_detectors_categories_is_asked_for_or_told_by_its_id() -> None:
    names = {4: "Bolt", 5: "bolt", 6: "nut"}
    with pytest.raises(DataError, match=r"'bolt' \(1 objects\) may be 4 'Bolt' or 5 'bolt'"):
        match_categories(annotated({1: "bolt"}), names, names)
    assert categories_of(match_categories(annotated({5: "bolt"}), names, names).dataset) == [5]


@pytest.mark.parametrize(("answer", "expected"), [("car", 3), (3, 3), (8, 8), (False, 91)])
def test_an_answer_in_mfd_toml_comes_first(answer: str | int | bool, expected: int) -> None:
    matched = match_categories(annotated({1: "Cars"}), COCO_IDS, COCO_NAMES, {"cars": answer})
    assert categories_of(matched.dataset) == [expected]


def test_several_categories_can_be_one_of_the_detectors() -> None:
    hand = {"sedan": "car", "estate": "car"}
    matched = match_categories(annotated({1: "sedan", 2: "estate"}), COCO_IDS, COCO_NAMES, hand)
    assert categories_of(matched.dataset) == [3, 3]
    assert matched.dataset.categories == {3: "car"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (12, "'cars' = 12, which is no category id of the detector; it has 1, 2, 3, 4, 5 and 75"),
        ("caar", "'cars' = 'caar', a name that the detector does not have; did you mean 'car'"),
    ],
)
def test_an_answer_that_the_detector_does_not_have_is_refused(
    answer: str | int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        match_categories(annotated({1: "cars"}), COCO_IDS, COCO_NAMES, {"cars": answer})


def test_the_digest_of_annotations_tells_how_they_were_renumbered(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("{}")
    dataset = replace(annotated({1: "car"}), annotations_file=tmp_path / "own.json")
    one, other = (
        match_categories(dataset, COCO_IDS, COCO_NAMES, hand).dataset for hand in ({}, {"car": 8})
    )
    digests = {dataset.annotations_sha256, one.annotations_sha256, other.annotations_sha256}
    assert len(digests) == 3
