"""Configurations that cannot be built."""

from dataclasses import replace

import pytest

from mfd.detectors.dino import DINO
from mfd.errors import ConfigError


@pytest.mark.parametrize("changes", [{"dim": 48}, {"heads": 7}])
def test_widths_that_do_not_divide_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must divide"):
        replace(DINO, **changes)
