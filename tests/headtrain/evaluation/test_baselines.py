from dataclasses import replace

import pytest

from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.evaluation.baselines import filled_box_entries, untrained_head
from mfd.headtrain.evaluation.results import box_entries
from mfd.headtrain.inference.paste import fill_box
from mfd.headtrain.presets.paper import find_preset
from tests.builders.scenes import SPEC
from tests.headtrain.evaluation.test_results import CANDIDATES


def test_filled_boxes_keep_the_detectors_scores() -> None:
    entries = list(filled_box_entries(CANDIDATES))

    assert [entry["score"] for entry in entries] == [e["score"] for e in box_entries(CANDIDATES)]
    for entry, box_xyxy in zip(entries, CANDIDATES.boxes_xyxy, strict=True):
        assert entry["segmentation"] == fill_box(box_xyxy, CANDIDATES.size_hw)


def test_the_untrained_head_adds_c1_where_the_widths_agree() -> None:
    head = untrained_head(replace(SPEC, c1_channels=SPEC.dim), roi_size=16)

    assert head.config.use_c1
    assert head.config == replace(find_preset("baseline-roi-c1").config, roi_size=16)


def test_the_untrained_head_has_no_c1_of_another_width() -> None:
    head = untrained_head(replace(SPEC, c1_channels=SPEC.dim + 2), roi_size=16)

    assert not head.config.use_c1
    assert head.config == replace(find_preset("baseline-roi").config, roi_size=16)


@pytest.mark.parametrize("roi_size", [8, 24])
def test_the_untrained_head_has_the_given_roi_size(roi_size: int) -> None:
    assert untrained_head(SPEC, roi_size).config.roi_size == roi_size


def test_the_untrained_head_has_heads_default_roi_size_without_one() -> None:
    assert untrained_head(SPEC).config.roi_size == HeadConfig().roi_size == 32


def test_the_untrained_head_has_nothing_to_train() -> None:
    head = untrained_head(SPEC)

    assert not list(head.parameters())
    assert not head.training
