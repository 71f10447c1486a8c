from mfd.headtrain.evaluation.metrics.coco import ground_truth
from mfd.headtrain.evaluation.oracles.pairing import finders, objects_of, owners
from tests.headtrain.evaluation.metrics.test_coco import annotation, dataset, detection

LEFT, RIGHT = (0, 0, 40, 40), (30, 0, 40, 40)  # they overlap by 10 of 40 columns


def places(truth_of: object, boxes: list) -> list[int | None]:
    """The place of each box's owner among the annotations."""
    truth = ground_truth(truth_of, "segm")  # type: ignore[arg-type]
    objects = objects_of(truth, 7)
    return [each and objects.index(each) for each in owners(truth, boxes, objects)]


def test_owners_are_free_objects_for_the_best_scores_first() -> None:
    truth = dataset(annotation(0, LEFT), annotation(1, RIGHT))
    between = (12, 0, 40, 40)  # IoU 28 / 52 with the left one, 22 / 58 with the right one

    assert places(truth, [detection(LEFT, 0.9), detection(between, 0.8)]) == [0, 0]
    assert places(truth, [detection(between, 0.9), detection(LEFT, 0.8)]) == [0, 0]
    nearer_both = (15, 0, 40, 40)  # IoU 25 / 55 with either: near, and no match
    assert places(truth, [detection(nearer_both, 0.9)]) == [0]


def test_owners_let_a_second_box_have_the_object_that_is_free() -> None:
    wide = annotation(1, (0, 0, 60, 40))
    truth = dataset(annotation(0, LEFT), wide)  # the box has IoU 1 and 2 / 3
    assert places(truth, [detection(LEFT, 0.9), detection(LEFT, 0.8)]) == [0, 1]


def test_owners_are_of_the_boxs_category_and_near() -> None:
    truth = dataset(annotation(0, LEFT))
    assert places(truth, [detection(LEFT, 0.9, category_id=8)]) == [None]
    assert places(truth, [detection((32, 0, 40, 40), 0.9)]) == [0]  # IoU 8 / 72 = 0.11
    assert places(truth, [detection((33, 0, 40, 40), 0.9)]) == [None]  # IoU 7 / 73 = 0.096


def test_owners_are_crowds_for_boxes_that_lie_in_them_and_on_no_object() -> None:
    crowd = annotation(1, (0, 0, 100, 100), iscrowd=True)
    truth = dataset(annotation(0, LEFT), crowd)
    boxes = [detection(LEFT, 0.9), detection((20, 0, 40, 40), 0.8), detection((90, 0, 40, 40), 0.7)]
    assert places(truth, boxes) == [0, 1, None]


def test_owners_have_any_category_in_a_class_agnostic_data_set() -> None:
    truth = dataset(annotation(0, LEFT)).without_categories()
    assert places(truth, [detection(LEFT, 0.9, category_id=8)]) == [0]


def test_finders_are_the_pairs_with_the_largest_sum_whatever_the_category() -> None:
    found = ground_truth(
        dataset(annotation(0, (0, 0, 40, 40)), annotation(1, (0, 0, 50, 40))), "segm"
    )
    boxes = [detection((0, 0, 46, 40), 0.9), detection((0, 0, 50, 40), 0.1, category_id=8)]
    # 40 / 46 + 1 = 1.87 against 46 / 50 + 40 / 50 = 1.72
    objects = objects_of(found, 7)
    assert finders(boxes, objects) == [(0, objects[0]), (1, objects[1])]


def test_finders_need_half_of_the_union_and_no_crowd() -> None:
    truth = ground_truth(
        dataset(annotation(0, LEFT), annotation(1, (80, 0, 40, 40), iscrowd=True)), "segm"
    )
    objects = objects_of(truth, 7)
    boxes = [detection((15, 0, 40, 40), 0.9), detection((80, 0, 40, 40), 0.8)]  # IoU 25 / 55
    assert finders(boxes, objects) == []
    assert finders([], objects) == finders(boxes, []) == []
