"""Checkpoints as the authors of a family publish them, computed by Transformers' modelling."""

from collections.abc import Mapping

from mfd.detectors.hf.originals.d_fine import D_FINE
from mfd.detectors.hf.originals.deimv2 import DEIMV2
from mfd.detectors.hf.originals.original import Original
from mfd.detectors.hf.originals.rf_detr import RF_DETR
from mfd.detectors.hf.originals.rt_detr import RT_DETR, RT_DETR_V2

ORIGINALS: Mapping[str, Original] = {
    "rf-detr": RF_DETR,
    "rt-detr": RT_DETR,
    "rt-detr-v2": RT_DETR_V2,
    "d-fine": D_FINE,
    "deimv2": DEIMV2,
}
