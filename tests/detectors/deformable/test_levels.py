"""The geometry of joined maps."""

import torch

from mfd.detectors.deformable.levels import build_levels

SIZES = ((5, 8), (3, 4))


def _mask(*sizes_hw: tuple[int, int]) -> torch.Tensor:
    mask = torch.ones(len(sizes_hw), 37, 61, dtype=torch.bool)
    for image, (height, width) in zip(mask, sizes_hw, strict=True):
        image[:height, :width] = False
    return mask


def test_a_cell_is_padding_if_the_pixel_at_its_top_left_is() -> None:
    mask = _mask((37, 61), (23, 40))
    levels = build_levels(mask, SIZES)
    for (height, width), found in zip(SIZES, levels.masks, strict=True):
        rows = torch.arange(height) * 37 // height
        columns = torch.arange(width) * 61 // width
        assert found.equal(mask[:, rows][:, :, columns])
    assert levels.padding.equal(torch.cat([m.flatten(1) for m in levels.masks], dim=1))


def test_centres_fill_the_unpadded_part_and_ratios_lead_back_to_the_padded_map() -> None:
    levels = build_levels(_mask((37, 61), (23, 40)), SIZES)
    start = 0
    for number, (height, width) in enumerate(SIZES):
        centres = levels.centres[:, start : start + height * width]
        start += height * width
        columns = (torch.arange(width) + 0.5).repeat(height) / width
        rows = (torch.arange(height) + 0.5).repeat_interleave(width) / height
        on_padded_map = centres * levels.valid_ratios[:, number, None]
        assert on_padded_map.allclose(torch.stack((columns, rows), -1).expand(2, -1, -1))
        inside = ~levels.masks[number].flatten(1)
        assert (centres[inside] < 1).all()
        assert (centres[~inside].amax(-1) > 1).all()


def test_split_gives_back_the_maps_that_were_joined() -> None:
    maps = [torch.randn(2, height, width, 6) for height, width in SIZES]
    levels = build_levels(_mask((37, 61), (23, 40)), SIZES)
    found = levels.split(torch.cat([m.flatten(1, 2) for m in maps], dim=1))
    assert all(ours.equal(theirs) for ours, theirs in zip(found, maps, strict=True))
