from dataclasses import replace

import pytest

from mfd.errors import DetectorError
from mfd.headtrain.runs.binding import check_binding
from tests.builders.scenes import SPEC


def test_another_detector_is_refused_and_both_are_named() -> None:
    other = replace(SPEC, name="other", weights_digest="12" * 32)
    with pytest.raises(
        DetectorError,
        match=r"trained for nearly \(weights cdcdcdcd\), found other \(weights 12121212\)",
    ):
        check_binding(SPEC, other)


@pytest.mark.parametrize(
    ("field", "value"),
    [("encoder_layer", 3), ("code_version", 2), ("category_ids", (1, 90, 3)), ("strides", (8, 16))],
)
def test_whatever_changes_the_features_is_refused(field: str, value: object) -> None:
    with pytest.raises(DetectorError, match=field):
        check_binding(SPEC, replace(SPEC, **{field: value}))


def test_what_changes_no_feature_is_allowed() -> None:
    check_binding(SPEC, replace(SPEC, name="same by path", max_detections=7))
