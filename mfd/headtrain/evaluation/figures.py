"""What an evaluation found, as JSON and as a table."""

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from mfd.headtrain.evaluation.coco_ap import AveragePrecision


@dataclass(frozen=True)
class Evaluation:
    """AP on one split.

    Attributes:
        box: of the detector's own boxes and scores.
        mask: of the head's masks.
        mask_filled_boxes: of the boxes taken for masks, if asked for.
        mask_untrained: of the other head's masks, if one was given.
        categories: name of each category id.
        notes: what a reader of the figures must know, one line each.
        images: how many.
        detections: how many on all images.
        seconds: wall time.
    """

    box: AveragePrecision
    mask: AveragePrecision
    mask_filled_boxes: AveragePrecision | None
    mask_untrained: AveragePrecision | None
    categories: dict[int, str]
    notes: tuple[str, ...]
    images: int
    detections: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One flat object: box_ap, box_ap50 ... box_ap_large, mask_ap ..., baselines, per_category.

        What is undefined, or a baseline that was not asked for, is null.
        """
        return {
            **{f"box_{name}": value for name, value in self.box.figures().items()},
            **{f"mask_{name}": value for name, value in self.mask.figures().items()},
            "mask_ap_filled_boxes": self.mask_filled_boxes and self.mask_filled_boxes.ap,
            "mask_ap_untrained": self.mask_untrained and self.mask_untrained.ap,
            "images": self.images,
            "detections": self.detections,
            "seconds": round(self.seconds, 2),
            "notes": list(self.notes),
            "per_category": [
                {
                    "category_id": category_id,
                    "name": name,
                    "box_ap": self.box.per_category[category_id],
                    "mask_ap": self.mask.per_category[category_id],
                }
                for category_id, name in sorted(self.categories.items())
            ],
        }

    def table(self) -> Table:
        """The figures as a table for the terminal, one row for each kind of box or mask."""
        rows = {
            "boxes": self.box,
            "masks": self.mask,
            "filled boxes": self.mask_filled_boxes,
            "untrained head": self.mask_untrained,
        }
        caption = "\n".join(
            (
                f"{self.images} images, {self.detections} detections, {self.seconds:.0f} s",
                *self.notes,
            )
        )
        table = Table(caption=caption, caption_justify="left")
        table.add_column("")
        for name in ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"):
            table.add_column(name, justify="right")
        for label, precision in rows.items():
            if precision is not None:
                table.add_row(label, *map(_digits, precision.figures().values()))
        return table

    def category_table(self) -> Table:
        """Box and mask AP of every category, the best masks first."""
        table = Table("category", title="AP by category")
        table.add_column("boxes", justify="right")
        table.add_column("masks", justify="right")
        by_mask_ap = sorted(self.categories, key=lambda key: -(self.mask.per_category[key] or -1.0))
        for key in by_mask_ap:
            aps = (self.box.per_category[key], self.mask.per_category[key])
            table.add_row(self.categories[key], *map(_digits, aps))
        return table


def _digits(value: float | None) -> str:
    """Three decimals, as pycocotools prints; a dash where there was nothing to find."""
    return "-" if value is None else f"{value:.3f}"
