"""JSON text read piece by piece, so that a large file is never in memory as Python objects."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mfd.errors import DataError
from mfd.placeholders import refuse_placeholder

_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


class JsonText:
    """A place in the text of a file, from which on it is read.

    Raises:
        DataError: what follows is not JSON, or nested too deeply.
    """

    def __init__(self, path: Path, encoded: bytes) -> None:
        self._path, self._text, self._at = path, "", 0
        try:
            self._text = encoded.decode(json.detect_encoding(encoded), "surrogatepass")
        except ValueError as error:
            raise self._refusal(error) from error

    def members(self) -> Iterator[tuple[str, Any]]:
        """Keys and values of an object, which is all that the text holds.

        A value that is a list comes as an iterator, which the next member ends.
        """
        for _ in self._separated("{", "}"):
            if self.next_sign() != '"':
                raise self._error("Expecting property name enclosed in double quotes")
            key = self.value()
            self._take(":")
            if self.next_sign() != "[":
                yield key, self.value()
                continue
            items = self._items()
            yield key, items
            for _ in items:
                pass
        if self.next_sign():
            raise self._error("Extra data")

    def value(self) -> Any:
        """The value that follows."""
        self.next_sign()
        try:
            value, self._at = _decode(self._text, self._at)
        except (ValueError, RecursionError) as error:
            raise self._refusal(error) from error
        return value

    def next_sign(self) -> str:
        """The character with which the next piece begins; empty at the end."""
        found = _SPACE.match(self._text, self._at)
        assert found is not None  # it matches nothing too
        self._at = found.end()
        return self._text[self._at : self._at + 1]

    def _items(self) -> Iterator[Any]:
        for _ in self._separated("[", "]"):
            yield self.value()

    def _separated(self, opening: str, closing: str) -> Iterator[None]:
        """Once for each piece between two signs that has to be read."""
        self._take(opening)
        if self.next_sign() == closing:
            return self._take(closing)
        while True:
            yield
            if self.next_sign() != ",":
                return self._take(closing)
            self._take(",")

    def _take(self, sign: str) -> None:
        if self.next_sign() != sign:
            raise self._error(f"Expecting {sign!r} delimiter")
        self._at += 1

    def _error(self, text: str) -> DataError:
        return self._refusal(json.JSONDecodeError(text, self._text, self._at))

    def _refusal(self, error: Exception) -> DataError:
        refuse_placeholder(self._path, "COCO's JSON", DataError)
        return DataError(f"{self._path} is not a JSON file: {error}")
