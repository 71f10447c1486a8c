"""What tests build: a file for each thing, in the order of the pipeline.

tiny.py         a custom detector and images for it
deformable.py   a small network of H-DETR's and DINO's kind
features.py     a store's identity and random features
batches.py      padded batches for the head, and what tests of its blocks compare
runs.py         a store with annotations, heads and recipes that train in a second
scenes.py       an annotated data set, and a detector and head that nearly know it
heads.py        a head's folder without its training
"""
