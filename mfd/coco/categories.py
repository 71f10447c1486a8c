"""COCO's category ids."""

# COCO numbers its 80 categories up to 90; these ten were given out and never annotated.
_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

COCO_IDS = tuple(i for i in range(1, 91) if i not in _UNUSED)
"""Ids of COCO's 80 categories, "person" (1) to "toothbrush" (90), in their order."""
