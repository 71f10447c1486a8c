from pathlib import Path

import numpy as np
import zarr

from mfd.cache.format.arrays import create_arrays
from mfd.cache.format.index import read_images, write_image_list, write_sizes
from mfd.cache.format.layout import ArrayLayout, index_arrays
from mfd.cache.format.plan import make_plan
from mfd.cache.format.records import ImageRecord
from tests.builders.features import SPEC, make_identity


def arrays_in(path: Path, count: int) -> tuple[ArrayLayout, ...]:
    layouts = index_arrays(SPEC, count, make_plan(SPEC, "float16", make_identity(count).images))
    create_arrays(zarr.create_group(path), layouts, "zstd")
    return layouts


def test_an_image_list_is_read_as_it_was_written_names_in_any_script(tmp_path: Path) -> None:
    images = make_identity(5).images
    arrays = arrays_in(tmp_path, 5)
    write_image_list(tmp_path, arrays, images)
    assert read_images(tmp_path, arrays) == images
    for metadata in tmp_path.rglob("zarr.json"):  # which are for others to read
        metadata.unlink()
    assert read_images(tmp_path, arrays) == images


def test_token_counts_are_the_sums_over_levels_and_unread_images_are_invalid(
    tmp_path: Path,
) -> None:
    records = [ImageRecord((75, 130), ((5, 9), (3, 5)), (19, 33)), None]
    write_sizes(tmp_path, arrays_in(tmp_path, 2), records)
    arrays = zarr.open_group(tmp_path, mode="r")
    assert arrays["index/n_tokens"][...].tolist() == [60, 0]
    assert arrays["index/valid"][...].tolist() == [1, 0]
    assert np.array_equal(arrays["index/level_hw"][0], [[5, 9], [3, 5]])
    assert arrays["index/hw"][...].tolist() == [[75, 130], [0, 0]]
    assert arrays["index/c1_hw"][...].tolist() == [[19, 33], [0, 0]]


def test_index_arrays_of_zeros_have_a_file_all_the_same(tmp_path: Path) -> None:
    write_sizes(tmp_path, arrays_in(tmp_path, 2), [None, None])
    assert (tmp_path / "index/valid/c.0").exists()
