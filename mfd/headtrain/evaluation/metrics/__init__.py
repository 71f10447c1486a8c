"""One file per metric: from ground truth and detections to figures."""
