"""A view by its name: for every image a placement, drawn from the name and the image's id alone."""

import re
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from mfd.errors import ConfigError
from mfd.images.preprocessing import Preprocessing
from mfd.images.views.draws import large_scale_jitter, multi_scale, whole_image
from mfd.images.views.placement import Placement

Kind = Literal["base", "flip", "ms", "lsj"]

_NAME = re.compile(r"(base|flip|ms|lsj)|(ms|lsj):([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True)
class View:
    """One way to show every image: as it is, flipped, or augmented at random.

    Attributes:
        kind: `base` is the detector's own resize; `flip` mirrors before it; `ms` is
            `draws.multi_scale`, `lsj` `draws.large_scale_jitter`.
        seed: of the random ones; None draws differently at every call.
    """

    kind: Kind
    seed: int | None = None

    @property
    def name(self) -> str:
        """What `parse_view` reads: `base`, `flip`, `ms:0`."""
        return self.kind if self.seed is None else f"{self.kind}:{self.seed}"

    @property
    def repeatable(self) -> bool:
        """Whether an image looks the same at every call, as a store needs it."""
        return self.kind in ("base", "flip") or self.seed is not None

    def draw(
        self,
        image_id: int,
        original_hw: tuple[int, int],
        preprocessing: Preprocessing,
        epoch: int | None = None,
    ) -> Placement:
        """What happens to an image of this id and size.

        With a seed the draw is a function of kind, seed, image id and epoch: numpy's PCG64 of
        SeedSequence((kind, seed, image id), spawn_key=(epoch,)), the spawn key empty without an
        epoch. Order, batches and processes change nothing.

        Args:
            epoch: for live training, where an image looks different in every epoch.
        """
        if self.kind in ("base", "flip"):
            return whole_image(original_hw, preprocessing, flip=self.kind == "flip")
        draw = multi_scale if self.kind == "ms" else large_scale_jitter
        return draw(self._generator(image_id, epoch), original_hw, preprocessing)

    def _generator(self, image_id: int, epoch: int | None) -> np.random.Generator:
        if self.seed is None:
            return np.random.default_rng()
        kind = int.from_bytes(self.kind.encode())
        entropy = (kind, self.seed, image_id % 2**64)  # ids may be negative
        spawn_key = () if epoch is None else (epoch,)
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=spawn_key))


def parse_view(text: str) -> View:
    """The view of this name: `base`, `flip`, `ms:SEED`, `lsj:SEED`; `ms` and `lsj` unseeded.

    Raises:
        ConfigError: another name.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"there is no view {text!r}; known: base, flip, ms:SEED, lsj:SEED (SEED is a whole "
            "number of at most 9 digits, as in ms:0)"
        )
    plain, seeded, seed = match.groups()
    return View(cast(Kind, plain or seeded), None if seed is None else int(seed))
