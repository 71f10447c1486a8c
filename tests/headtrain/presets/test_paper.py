"""The presets are the paper's rows, and our sizes are the paper's."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.presets.paper import (
    COUNTED,
    default_preset,
    find_preset,
    preset_table,
    presets,
)
from mfd.headtrain.presets.preset import HDETR_R50
from tools.count_presets import counted


@pytest.fixture(scope="module")
def table() -> list[dict[str, Any]]:
    return preset_table()


def test_sizes_that_are_written_down_are_the_counted_ones() -> None:
    assert json.loads(COUNTED.read_text()) == {name: [*size] for name, size in counted().items()}


def test_all_parameter_counts_equal_the_papers_to_the_last_digit(
    table: list[dict[str, Any]],
) -> None:
    compared = [row for row in table if row["paper_params_m"] is not None]
    assert len(compared) == 46
    for row in compared:
        assert round(row["params_m"], 2) == row["paper_params_m"], row


def test_all_multiply_accumulates_are_within_one_percent_of_the_papers(
    table: list[dict[str, Any]],
) -> None:
    compared = [row for row in table if row["paper_macs_g"] is not None]
    assert len(compared) == 46
    for row in compared:
        assert row["macs_g"] == pytest.approx(row["paper_macs_g"], rel=0.01), row


def test_figures_and_order_are_those_of_the_papers_tables(
    table: list[dict[str, Any]], shared: Path
) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    for number in (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15):
        (rows,) = (rows for name, rows in printed.items() if name.startswith(f"table{number}_"))
        ours = [row for row in table if row["table"] == number]
        for row, expected in zip(ours, rows, strict=True):
            assert row["paper_ap"] == expected["AP"], row
            assert row["paper_params_m"] == expected.get("params_m"), row
            assert row["paper_macs_g"] == expected.get("macs_g"), row


def test_configs_say_what_the_papers_tables_say(shared: Path) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    by_table: dict[int | None, list[HeadConfig]] = {}
    for preset in presets().values():
        by_table.setdefault(preset.table, []).append(preset.config)

    def compare(number: int, fields: dict[str, str]) -> None:
        (rows,) = (rows for name, rows in printed.items() if name.startswith(f"table{number}_"))
        for config, row in zip(by_table[number], rows, strict=True):
            for column, field in fields.items():
                value = getattr(config, field)
                if field == "box_dim" and value is None:
                    value = HDETR_R50.dim
                if not (row.get("layers") == 0 and column == "block"):
                    assert value == row[column], (number, field, row)

    compare(1, {"roi_align": "roi_align", "c1": "use_c1"})
    compare(2, {"block": "image_encoder", "layers": "image_layers"})
    compare(3, {"block": "box_encoder", "layers": "box_layers"})
    compare(4, {"dim": "box_dim"})
    compare(5, {"ffn": "query_ffn", "o2o": "query_o2o", "b2o": "query_b2o"})
    compare(6, {name: name for name in ("neck", "sampled_points", "mask_scoring")})
    compare(9, {"roi_size": "roi_size"})
    compare(12, {"head": "mask_head"})
    compare(15, {"image_layers": "image_layers", "box_layers": "box_layers"})


def test_recipes_say_what_the_papers_tables_say(shared: Path) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    for number, field in ((10, "epochs"), (13, "batch_size")):
        (rows,) = (rows for name, rows in printed.items() if name.startswith(f"table{number}_"))
        ours = [preset for preset in presets().values() if preset.table == number]
        for preset, row in zip(ours, rows, strict=True):
            assert preset.config == HeadConfig()
            assert preset.recipe == replace(TrainConfig(), **{field: row[field]})


def test_only_one_row_of_table_11_jitters(shared: Path) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    ours = [preset for preset in presets().values() if preset.table == 11]
    for preset, row in zip(ours, printed["table11_lsj"], strict=True):
        augment = "lsj" if row["lsj"] else "none"
        assert preset.recipe == replace(TrainConfig(), augment=augment)


def test_table_16_has_each_detector_frozen_and_trained_in_part_and_whole(shared: Path) -> None:
    printed = json.loads((shared / "paper" / "tables.json").read_text())
    ours = [preset for preset in presets().values() if preset.table == 16]
    rows = [row for row in printed["table16_finetuning"] if row["head"]]
    for preset, row in zip(ours, rows, strict=True):
        assert preset.spec.name == row["detector"]
        assert preset.recipe == TrainConfig(augment="ms", finetune=row["finetune"])
        assert preset.paper_ap == row["AP"]
        assert preset.recipe.needs_detector


def test_all_other_rows_have_the_papers_recipe() -> None:
    for preset in presets().values():
        assert preset.recipe == TrainConfig() or preset.table in (10, 11, 13, 16, None)


def test_our_head_is_no_larger_than_the_papers(table: list[dict[str, Any]]) -> None:
    rows = {row["name"]: row for row in table}
    for size in ("params_m", "macs_g"):
        assert rows["mfd"][size] <= rows["paper"][size]
    assert rows["mfd"]["recipe"]
    assert rows["paper"]["recipe"] == {}


def test_the_default_head_is_the_papers_best() -> None:
    assert find_preset("paper").config == HeadConfig()
    assert find_preset("encoder-layer-6").encoder_layer == 6


def test_names_are_unique(table: list[dict[str, Any]]) -> None:
    assert list(presets()) == [row["name"] for row in table]


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="no preset is called 'papers'; did you mean 'paper'"):
        find_preset("papers")


@pytest.mark.parametrize(
    ("strides", "c1_channels", "name"),
    [
        ((8, 16), 256, "paper"),
        ((16,), 64, "paper"),
        ((14,), 0, "focalnet-2-2"),
        ((4, 8), 192, "focalnet-2-2"),
    ],
)
def test_the_default_has_c1_where_it_is_finer_than_the_encoders_maps(
    strides: tuple[int, ...], c1_channels: int, name: str
) -> None:
    spec = replace(HDETR_R50, strides=strides, c1_channels=c1_channels)
    preset = default_preset(spec)
    assert preset.name == name
    preset.config.check(spec)


def test_a_head_with_c1_is_refused_where_there_is_none() -> None:
    spec = replace(HDETR_R50, c1_channels=0)
    with pytest.raises(ConfigError, match=r"no stage-1 map C1.*use_c1=false and neck=false"):
        find_preset("paper").config.check(spec)
