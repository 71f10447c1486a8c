"""Which of an image's instances are shown."""

from typing import Any, Literal

from mfd.settings import setting, settings

MIN_SCORE = 0.4
"""The class score from which instances are shown: where precision and recall balance.

Measured on 206 COCO photographs with a detector of box AP 0.34 (one category per query, IoU 0.5):

    min_score   instances an image   images without   right of those shown   found   F1
    0.3         8.9                  2                49 %                   47 %    0.48
    0.4         5.3                  5                66 %                   40 %    0.50
    0.5         3.5                  7                79 %                   32 %    0.45

Class score times quality, at 0.4, would show 1.8 an image and nothing on 40 of them.
"""

Categories = Literal["best", "all"]


MIN_SCORE_SETTING: Any = setting(
    "Minimum score of an instance, as the detector gives it.", default=MIN_SCORE, ge=0, le=1
)
MIN_QUALITY_SETTING: Any = setting(
    "Minimum quality of its mask, as the head estimates it.", default=0.0, ge=0, le=1
)


@settings
class Shown:
    """What an instance must have to be shown, and in which of its categories."""

    min_score: float = MIN_SCORE_SETTING
    min_quality: float = MIN_QUALITY_SETTING
    categories_per_query: Categories = setting(
        "best: the category of a query with the best class score; all: every one that reaches "
        "min_score, with the same mask.",
        default="best",
    )


DEFAULT = Shown()
