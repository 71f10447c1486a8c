import pytest

from mfd.report.cells import difference
from mfd.report.counts import calibration, class_rows, count_verdicts
from mfd.report.judge import judge_image
from tests.report.test_judge import SIZE, annotated, detected

IMAGES = [
    judge_image(1, SIZE, [detected(10, 10, 20), detected(50, 30, 9)], [annotated(10, 10, 20)]),
    judge_image(
        2, SIZE, [detected(10, 10, 15), detected(40, 30, 20, 2)],
        [annotated(10, 10, 20), annotated(40, 30, 20), annotated(60, 5, 9, 2)],
    ),
]  # fmt: skip


def test_counts_are_of_detections_and_of_missed_objects() -> None:
    counts = count_verdicts(IMAGES)
    assert (counts["correct"], counts["background"], counts["wrong class"]) == (2, 1, 1)
    assert (counts["missed"], counts["duplicate"]) == (1, 0)


def test_class_rows_say_what_an_object_is_taken_for() -> None:
    first, second = class_rows(IMAGES, {1: "cat", 2: "dog"})
    assert (first.name, first.objects, first.found, first.missed) == ("cat", 3, 2, 0)
    assert first.confused == (("dog", 1),)
    assert (second.name, second.objects, second.found, second.missed) == ("dog", 1, 0, 1)


def test_calibration_sets_expected_against_measured_iou() -> None:
    (only,) = calibration(IMAGES)  # all of them expect 0.5; two boxes cover an object of theirs
    assert only.count == 2
    assert only.expected == 0.5
    assert only.measured == pytest.approx((1 + 0.5625) / 2)


@pytest.mark.parametrize(
    ("interval", "direction"),
    [((0.001, 0.02), "up"), ((-0.02, -0.001), "down"), ((-0.001, 0.02), ""), ((0.0, 0.0), "")],
)
def test_difference_that_may_be_chance_has_no_direction(
    interval: tuple[float, float], direction: str
) -> None:
    cell = difference(0.01, interval)
    assert (cell.text, cell.direction) == ("+0.010", direction)
    assert cell.change == f"{interval[0]:+.3f} to {interval[1]:+.3f}"
