"""What an image takes: milliseconds in detector and head, and with reading and writing."""

import time


class Timing:
    """Adds up batches; the first, which also warms things up, counts only if there is no other."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._images, self._seconds = 0, 0.0
        self._since = self._until = time.monotonic()

    def add(self, images: int, seconds: float) -> None:
        """So many images have passed detector and head in that time."""
        if self._first is None:
            self._first, self._since = (images, seconds), time.monotonic()
        else:
            self._images, self._seconds = self._images + images, self._seconds + seconds

    def end(self) -> None:
        """Everything is written."""
        self._until = time.monotonic()

    def __str__(self) -> str:
        if not self._images:
            images, seconds = self._first or (1, 0.0)
            return f"{1000 * seconds / images:.0f} ms an image in detector and head"
        alone, all_of_it = (
            f"{1000 * seconds / self._images:.0f} ms"
            for seconds in (self._seconds, self._until - self._since)
        )
        return f"{alone} an image in detector and head, {all_of_it} with reading and writing"
