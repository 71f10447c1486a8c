"""Annotations of a few categories of each image only, as LVIS's are (Gupta et al. 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mfd.coco.findings import RecordError
from mfd.text import short

Frequency = Literal["r", "c", "f"]
ABSENT, PARTIAL = "neg_category_ids", "not_exhaustive_category_ids"


@dataclass(frozen=True)
class Federated:
    """What is known of an image beyond its objects. Of all other categories nothing is known.

    Attributes:
        absent: of each image id, the categories that were looked for and not found.
        partial: of each image id, the categories of which some objects may not be annotated.
        frequency: of each category id, whether it is rare, common or frequent in training images.
    """

    absent: Mapping[int, frozenset[int]]
    partial: Mapping[int, frozenset[int]]
    frequency: Mapping[int, Frequency]

    def renumbered(self, changed: Mapping[int, int]) -> "Federated":
        """The same with other category ids; of those that become one, the first one's frequency."""

        def renumber(found: Mapping[int, frozenset[int]]) -> dict[int, frozenset[int]]:
            return {
                image_id: frozenset(changed.get(key, key) for key in ids)
                for image_id, ids in found.items()
            }

        frequency: dict[int, Frequency] = {}
        for key, value in self.frequency.items():
            frequency.setdefault(changed.get(key, key), value)
        return Federated(renumber(self.absent), renumber(self.partial), frequency)

    def to_json(self) -> dict[str, Any]:
        """As lists of pairs, which keep numbers."""
        return {
            "absent": [(key, sorted(ids)) for key, ids in self.absent.items()],
            "partial": [(key, sorted(ids)) for key, ids in self.partial.items()],
            "frequency": list(self.frequency.items()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Federated":
        """From `to_json`."""
        absent, partial = (
            {key: frozenset(ids) for key, ids in value[name]} for name in ("absent", "partial")
        )
        return cls(absent, partial, dict(value["frequency"]))


class FederatedNotes:
    """Notes what is federated in the records of images and categories."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[int, frozenset[int]]] = {ABSENT: {}, PARTIAL: {}}
        self._frequency: dict[int, Frequency] = {}

    def image(self, image_id: int, record: Mapping[str, Any]) -> None:
        """Note an image.

        Raises:
            RecordError: it has something else than category ids.
        """
        for name, found in self._ids.items():
            if (ids := record.get(name)) is None:
                continue
            if not isinstance(ids, list) or not all(type(key) is int for key in ids):
                raise RecordError(
                    f"malformed {name}",
                    f"image {image_id} has {name} {short(ids)}, expected a list of category ids",
                )
            found[image_id] = frozenset(ids)

    def category(self, category_id: int, record: Mapping[str, Any]) -> None:
        """Note a category."""
        if (value := record.get("frequency")) in ("r", "c", "f"):
            self._frequency[category_id] = value

    def result(self) -> Federated | None:
        """None if no image says which categories were looked for."""
        absent, partial = self._ids[ABSENT], self._ids[PARTIAL]
        return Federated(absent, partial, self._frequency) if absent or partial else None
