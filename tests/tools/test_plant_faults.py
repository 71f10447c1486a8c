"""The faults fit the code as it is; `python tools/plant_faults.py` plants them."""

from pathlib import Path

import pytest

from tools.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_changes_its_file_and_has_tests(fault: Fault) -> None:
    assert fault.right in (ROOT / fault.file).read_text()
    assert fault.right != fault.wrong
    assert (ROOT / fault.tests).exists()


def test_fault_names_are_unique() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
