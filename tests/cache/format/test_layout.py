import pytest

from mfd.cache.format.layout import data_arrays
from mfd.cache.format.plan import make_plan
from mfd.cache.format.profiles import UNIT
from mfd.config import StoredDtype
from tests.builders.features import SPEC, make_identity


@pytest.mark.parametrize("dtype", ["float16", "int8", "int4"])
@pytest.mark.parametrize("profile", ["full", "lite"])
def test_no_two_units_share_a_file(profile: str, dtype: StoredDtype) -> None:
    identity = make_identity(35, profile=profile)
    for array in data_arrays(
        SPEC, identity.profile, dtype, 35, make_plan(SPEC, dtype, identity.images)
    ):
        owners: dict[str, int] = {}
        for row in range(array.shape[0]):
            assert owners.setdefault(array.file(row), row // UNIT) == row // UNIT
        assert array.shape[0] == 48
