"""The shapes that decide: those of the paper's head on 800 x 1333 images, most telling first."""

from benchmarks.inputs import AttentionCase, BoxCase, NormCase

PYRAMID = ((100, 167), (50, 84), (25, 42), (13, 21))  # 800 x 1333
ATTENTION = (
    AttentionCase("image encoder, batch 8", 8, PYRAMID, 8, 32),
    AttentionCase("box encoder, 56 boxes", 56, ((32, 32),), 8, 16),
    AttentionCase("decoder, 300 queries, batch 8", 8, PYRAMID, 8, 32, queries=300),
    AttentionCase("12 channels per head, batch 8", 8, ((26, 26), (13, 13)), 8, 12),
    AttentionCase("image encoder, batch 8, offsets 0.5 px", 8, PYRAMID, 8, 32, spread=0.5),
    AttentionCase("image encoder, batch 8, offsets 8 px", 8, PYRAMID, 8, 32, spread=8.0),
    AttentionCase("image encoder, batch 8, uniform", 8, PYRAMID, 8, 32, spread=None),
    AttentionCase("image encoder, batch 1", 1, PYRAMID, 8, 32),
    AttentionCase("box encoder, 100 boxes", 100, ((32, 32),), 8, 16),
)
BOXES = (
    BoxCase("56 boxes, batch 8, 256 channels", 8, 56, (200, 334), 256),
    BoxCase("100 boxes, one image, 256 channels", 1, 100, (200, 334), 256),
    BoxCase("56 boxes, batch 8, odd sizes", 8, 56, (199, 301), 256),
)
NORMS = (
    NormCase("image encoder, batch 8", 8 * 22223, 256),
    NormCase("box encoder, 56 boxes", 56 * 1024, 128),
)
SMALL_ATTENTION = (AttentionCase("small", 1, ((6, 9), (3, 5)), 2, 12),)
SMALL_BOXES = (BoxCase("small", 2, 3, (21, 30), 16, cells=8),)
SMALL_NORMS = (NormCase("small", 21, 12),)
