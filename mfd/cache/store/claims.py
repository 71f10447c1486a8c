"""Which units of a store a process works on, so that several processes can fill it together."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from mfd.errors import StoreError
from mfd.locks import exclusive_lock


class Claims:
    """The units that a process works on, and no other does meanwhile.

    A claim is a lock on a file of its own, so that it ends with the process. On file systems
    without locks every claim is granted: there, each process keeps to the units of its part.

    Args:
        folder: of the store's journals.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, ExitStack] = {}

    def __contains__(self, unit: int) -> bool:
        return unit in self._held

    def take(self, units: Iterable[int]) -> bool:
        """Claim all of the units, which must not be held; False if another process has one."""
        taken: dict[int, ExitStack] = {}
        for unit in units:
            taken[unit] = ExitStack()
            try:
                lock = exclusive_lock(self._file(unit), _TakenError())
                taken[unit].enter_context(lock)
            except _TakenError:
                for claim in taken.values():
                    claim.close()
                return False
        self._held |= taken
        return True

    def drop(self, unit: int, *, finished: bool) -> None:
        """Let others have a unit; with a finished one goes its file."""
        if finished:
            self._file(unit).unlink(missing_ok=True)
        self._held.pop(unit).close()

    def drop_all(self) -> None:
        """Let others have all units that are still held."""
        for unit in list(self._held):
            self.drop(unit, finished=False)

    def files(self) -> list[Path]:
        """The files of all processes' claims; what killed ones left is among them."""
        return sorted(self._folder.glob(".unit-*.lock"))

    def _file(self, unit: int) -> Path:
        return self._folder / f".unit-{unit:06d}.lock"


class _TakenError(StoreError):
    """Another process works on a unit."""
