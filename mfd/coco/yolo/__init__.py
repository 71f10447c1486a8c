"""Data sets as YOLO's segmentation tools keep them: data.yaml, images/ and labels/."""
