"""COCO AP of a head's masks, beside baselines, oracles and other models."""
