"""COCO's 80 categories."""

# COCO numbers them up to 90; these ten were given out and never annotated.
_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

_NAMES = """\
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
vase, scissors, teddy bear, hair drier, toothbrush"""

COCO_NAMES: dict[int, str] = dict(
    zip(
        (i for i in range(1, 91) if i not in _UNUSED),
        " ".join(_NAMES.split()).split(", "),
        strict=True,
    )
)
"""Name of each category id, "person" (1) to "toothbrush" (90), in their order."""

COCO_IDS = tuple(COCO_NAMES)
"""Their ids."""
