"""Faults of the head and its presets."""

# ruff: noqa: E501

from .fault import faults

# fmt: off
HEAD = [
    *faults(
        "mfd/headtrain/head/regions.py", "tests/headtrain/head",
        ("one RoIAlign sample per cell and axis", "= config.sampling_ratio", "= 1"),
        ("C1 lost from the map", "c1 + upsample(", "upsample("),
        ("bias added outside the image, too", "inside * self.mapper.bias.to(inside)", "self.mapper.bias.to(inside)"),
    ),
    *faults(
        "mfd/headtrain/head/query_encoder.py", "tests/headtrain/head/test_query_encoder.py",
        ("attention scaled by the width of all heads", "scale=(dim // heads) ** -0.5", "scale=dim**-0.5"),
        ("values read without their bias", ", weight[2]) + bias[2]", ", weight[2])"),
        ("keys projected by the values' matrix", "\"nmd,mdc->nmc\", query, weight[1]", "\"nmd,mdc->nmc\", query, weight[2]"),
    ),
    *faults(
        "mfd/headtrain/head/padding.py", "tests/headtrain/head/test_padding.py",
        ("one full side taken for a map without padding", "maps.shape[1:3])).all())", "maps.shape[1:3])).any())"),
    ),
    *faults(
        "mfd/headtrain/head/padding.py", "tests/headtrain/training/test_compiled.py",
        ("compiled graph ended to look for padding", "and not torch.compiler.is_compiling()", "and not torch.compiler.is_exporting()"),
    ),
    *faults(
        "mfd/headtrain/head/regions.py", "tests/headtrain/training/test_cost.py",
        ("taps made again for every map", "inside = read.coarse(torch.ones_like(", "inside = BoxReader(boxes_xyxy, image_index, self.roi_size, fine_hw=maps.fine_hw, coarse_hw=maps.coarse_hw, sampling_ratio=self.sampling_ratio).coarse(torch.ones_like("),
    ),
    *faults(
        "mfd/headtrain/head/batch.py", "tests/headtrain/training/test_cost.py",
        ("maps of float32 under autocast", "memory=[maps.to(dtype) for maps in self.memory],", "memory=[maps.float() for maps in self.memory],"),
    ),
    *faults(
        "mfd/headtrain/head/neck.py", "tests/headtrain/training/test_cost.py",
        ("float32 behind the neck under autocast", "affine[image_index].to(x)", "affine[image_index]"),
    ),
    *faults(
        "mfd/headtrain/head/box_encoders/deformable.py", "tests/headtrain/training/test_cost.py",
        ("positions of float32 added to regions", "[None].to(regions)", "[None]"),
    ),
    *faults(
        "mfd/headtrain/presets/sizes.py", "tests/headtrain/presets",
        ("RoIAlign priced by its corners alone", "ROI_ALIGN_MACS = 18", "ROI_ALIGN_MACS = 16"),
        ("further layers counted once too often", "config.box_layers - 1", "config.box_layers"),
    ),
    *faults(
        "mfd/headtrain/head/mask_scoring.py", "tests/headtrain/head",
        ("IoU estimates begin at 0", "PRIOR_IOU = 0.7", "PRIOR_IOU = 0.0"),
        ("scoring shapes the masks", "-1).detach()", "-1)"),
    ),
    *faults(
        "mfd/headtrain/head/image_encoders/swin.py", "tests/headtrain/head",
        ("Swin windows of 7", "WINDOW = 14", "WINDOW = 7"),
        ("Swin windows never shifted", "shifted=bool(index % 2)", "shifted=False"),
    ),
]
