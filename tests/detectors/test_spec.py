"""What a spec says, refuses, and keeps through JSON."""

import json

import pytest

from mfd.detectors.spec import DetectorSpec
from mfd.errors import DetectorError
from mfd.images.preprocessing import Preprocessing


def make_spec(**changes: object) -> DetectorSpec:
    values: dict[str, object] = {
        "name": "test",
        "dim": 12,
        "strides": (16, 32),
        "num_queries": 7,
        "category_ids": (2, 3, 5),
        "c1_channels": 6,
        "weights_digest": "0" * 64,
        "preprocessing": Preprocessing(size_hw=(30, 50)),
    }
    return DetectorSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_a_spec_survives_json() -> None:
    spec = make_spec()
    assert DetectorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_spec_of_lists_is_that_of_tuples() -> None:
    """What a store or a run gives back is compared with what the detector says."""
    preprocessing = Preprocessing(size_hw=[30, 50], mean=[0, 0, 0], std=[1, 1, 1])  # type: ignore[arg-type]
    listed = make_spec(
        strides=[16, 32], category_ids=[2, 3, 5], category_names=[], preprocessing=preprocessing
    )
    assert listed == DetectorSpec.from_json(json.loads(json.dumps(listed.to_json())))
    assert listed.preprocessing.size_hw == (30, 50)


def test_names_are_those_of_the_columns_that_have_one() -> None:
    assert make_spec(category_names=("bolt", "", "nut")).names == {2: "bolt", 5: "nut"}
    assert make_spec().names == {}


def test_a_spec_written_before_there_were_names_is_read() -> None:
    old = make_spec().to_json()
    del old["category_names"]
    assert DetectorSpec.from_json(old) == make_spec()


def test_softmax_detectors_have_one_more_logit() -> None:
    assert make_spec().num_logits == 3
    assert make_spec(scores="softmax").num_logits == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"strides": ()},
        {"strides": (32, 16)},
        {"scores": "logistic"},
        {"category_names": ("bolt", "nut")},
        {"category_names": ("bolt", "nut", 3)},
    ],
    ids=str,
)
def test_a_spec_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DetectorError):
        make_spec(**wrong)
