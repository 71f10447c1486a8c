"""What a demo found, as JSON and as a short table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from mfd.files import write_json


@dataclass(frozen=True)
class Summary:
    """AP on the generated val pictures and how long everything took.

    Attributes:
        box_ap: of the packaged detector's boxes.
        mask_ap: of the trained head's masks.
        mask_ap_filled_boxes: of the boxes taken for masks.
        mask_ap_untrained: of the head that has nothing to train (table 1 of the paper).
        seconds: wall time of the demo, since it was resumed if it was stopped before.
        stage_seconds: wall time of each command, likewise.
        commands: what was run, as typed.
        pictures: overlays and the report, relative to the demo's folder.
        evaluation: everything that `mfd evaluate --json` reports.
    """

    box_ap: float
    mask_ap: float
    mask_ap_filled_boxes: float
    mask_ap_untrained: float
    seconds: float
    stage_seconds: dict[str, float]
    commands: tuple[str, ...]
    pictures: tuple[str, ...]
    evaluation: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """What `write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: tuple(content[name]) for name in ("commands", "pictures")}
        return cls(**{**content, **lists})

    def write(self, path: Path) -> None:
        """Everything as one JSON object."""
        write_json(path, asdict(self))

    def table(self) -> Table:
        """The four figures, and how the mask compares with the box."""
        table = Table(caption=f"{self.seconds:.0f} s in all", caption_justify="left")
        table.add_column("on the generated val images")
        table.add_column("AP", justify="right")
        table.add_column("of box AP", justify="right")
        rows = {
            "boxes of the packaged detector": self.box_ap,
            "masks: filled boxes": self.mask_ap_filled_boxes,
            "masks: untrained head": self.mask_ap_untrained,
            "masks: trained head": self.mask_ap,
        }
        for name, value in rows.items():
            table.add_row(name, f"{value:.3f}", f"{value / self.box_ap:.0%}" if self.box_ap else "")
        return table
