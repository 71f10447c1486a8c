"""The heads that the ablation trains are those of the paper's tables, fitted to the detector."""

from dataclasses import replace

from benchmarks.ablation import ROWS, fitted, folder_name, rows
from mfd.headtrain import HeadConfig, TrainConfig
from mfd.headtrain.presets.paper import presets
from mfd.headtrain.presets.preset import HDETR_R50

OTHER_WIDTHS = replace(HDETR_R50, dim=96, c1_channels=64)


def test_every_row_is_a_row_of_its_table() -> None:
    for table in ROWS:
        assert [preset.table for preset in rows([table])] == [table] * len(ROWS[table])


def test_heads_change_only_in_roi_size_where_c1_can_be_added_as_it_is() -> None:
    for preset in presets().values():
        if preset.config.roi_align:
            expected = replace(preset.config, roi_size=24)
            assert fitted(preset, HDETR_R50, 24) == expected


def test_a_detector_of_other_widths_gets_heads_that_it_can_take() -> None:
    for preset in rows(list(ROWS)):
        fitted(preset, OTHER_WIDTHS, 16).check(OTHER_WIDTHS)
    assert not fitted(presets()["plain"], OTHER_WIDTHS, 16).use_c1
    assert fitted(presets()["image-none"], OTHER_WIDTHS, 16).neck


def test_distinct_heads_and_recipes_have_distinct_folders() -> None:
    heads = {fitted(preset, HDETR_R50, 16) for preset in rows(list(ROWS))}
    names = {folder_name(head, TrainConfig(epochs=epochs)) for head in heads for epochs in (1, 2)}
    assert len(names) == 2 * len(heads)
    assert folder_name(HeadConfig(), TrainConfig()) == "default"
