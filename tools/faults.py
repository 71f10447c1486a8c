"""The faults that `plant_faults.py` plants, one a line."""

# ruff: noqa: E501

from typing import NamedTuple


class Fault(NamedTuple):
    """One mistake in one file.

    Attributes:
        name: unique.
        file: in the repository.
        tests: file or folder of the tests that must catch it: those beside the file.
        right: what stands in the file, wherever it occurs.
        wrong: what stands there by mistake.
    """

    name: str
    file: str
    tests: str
    right: str
    wrong: str


def faults(file: str, tests: str, *mistakes: tuple[str, str, str]) -> list[Fault]:
    """Faults of one file; `mistakes` are (name, right, wrong)."""
    return [Fault(name, file, tests, right, wrong) for name, right, wrong in mistakes]


# fmt: off
FAULTS = (
    *faults(
        "mfd/kernels/deform_attn/cells.py", "tests/kernels/deform_attn",
        ("axes swapped", "_axis(x, reference_x, width, FUSED)", "_axis(x, reference_x, height, FUSED)"),
        ("half a pixel off", "    point -= 0.5\n", ""),
        ("points outside not masked", "first = tl.maximum(1.0 - tl.abs(distance), 0.0)", "first = 1.0 - tl.abs(distance)"),
        ("neighbour beyond a map of one pixel", "has_next = tl.where(size > 1, 1.0, 0.0)", "has_next = 1.0"),
        ("level offset lost", "return start + line * width", "return line * width"),
        ("rows as long as columns", "start + line * width", "start + line * height"),
    ),
    *faults(
        "mfd/kernels/deform_attn/triton.py", "tests/kernels/deform_attn",
        ("next level at the same place", "        start += height * width\n", ""),
        ("wrong head stride", "S * M * D + head * D\n", "S * M * D + head\n"),
        ("softmax not normalised", "        acc /= total[:, None]\n", "        acc /= 1.0\n"),
        ("softmax gradient without its mean", "(all_weights - tl.sum(attention * all_weights, 1)[:, None])", "all_weights"),
        ("spare queries of the last block added", "added = (q < Q)[:, None]", "added = (q >= 0)[:, None]"),
        ("gradient of x stored for y, too", "xy == 2 * t + 1, y_grad", "xy == 2 * t + 1, x_grad"),
        ("softmax gradient of attention not normalised", "logits - top[:, None]) / total[:, None]", "logits - top[:, None])"),
        ("gradient in pixels instead of map sizes", "                x_grad *= width\n", ""),
    ),
    *faults(
        "mfd/kernels/deform_attn/launch.py", "tests/kernels/deform_attn",
        ("gradient of value not cleared first", "of_value = torch.zeros(", "of_value = torch.empty("),
        ("choice of a newer device taken", "and since <= capability]", "]"),
        ("vectors of additions expected of older devices", 'kernel == "value_grad" and capability < 90', "False"),
    ),
    *faults(
        "mfd/kernels/roi_align/triton.py", "tests/kernels/roi_align",
        ("first image read for all boxes", "tl.load(image + box)", "tl.load(image)"),
        ("last row of cells forgotten", "while row < last:", "while row < last - 1:"),
        ("boxes taken in the order given", "box = tl.load(order + i)", "box = i"),
    ),
    *faults(
        "mfd/kernels/roi_align/api.py", "tests/kernels/roi_align",
        ("coarse maps read at fine places", "self._coarse = _merged_by_axis(upsampling_taps(taps, fine, size))", "self._coarse = _merged_by_axis(taps)"),
        ("sum lost in reading", "return self._read(features, self._coarse, add)", "return self._read(features, self._coarse, None)"),
    ),
    *faults(
        "mfd/kernels/roi_align/taps.py", "tests/kernels/roi_align",
        ("up-sampling past the border", " * ratio - 0.5).clamp(min=0)", " * ratio - 0.5)"),
    ),
    *faults(
        "mfd/kernels/flops.py", "tests/kernels/test_flops.py",
        ("one corner of a point counted", "return 2 * 4 * prod", "return 2 * prod"),
        ("formulas missing where the counter comes later", "sys.meta_path.insert(0, _Registrar())", "pass"),
    ),
    *faults(
        "mfd/headtrain/head/regions.py", "tests/headtrain/head",
        ("one RoIAlign sample per cell and axis", "= config.sampling_ratio", "= 1"),
        ("C1 lost from the map", "c1 + upsample(", "upsample("),
        ("bias added outside the image, too", "+ inside * self.mapper.bias", "+ self.mapper.bias"),
    ),
    *faults(
        "mfd/headtrain/head/query_encoder.py", "tests/headtrain/head/test_query_encoder.py",
        ("attention scaled by the width of all heads", "scale=(dim // heads) ** -0.5", "scale=dim**-0.5"),
        ("values read without their bias", ", weight[2]) + bias[2]", ", weight[2])"),
        ("keys projected by the values' matrix", '"nmd,mdc->nmc", query, weight[1]', '"nmd,mdc->nmc", query, weight[2]'),
    ),
    *faults(
        "mfd/headtrain/head/padding.py", "tests/headtrain/head/test_padding.py",
        ("one full side taken for a map without padding", ").all()):", ").any()):"),
    ),
    *faults(
        "benchmarks/plan.py", "tests/benchmarks/test_gpu.py",
        ("work begun after the end of the time", "self.elapsed >= self._seconds", "False"),
    ),
    *faults(
        "benchmarks/compare.py", "tests/benchmarks/test_gpu.py",
        ("wrong results timed", "if not error <= limit:", "if error != error:"),
    ),
    *faults(
        "mfd/headtrain/head/regions.py", "tests/headtrain/training/test_cost.py",
        ("taps made again for every map", "inside = read.coarse(torch.ones_like(", "inside = BoxReader(boxes_xyxy, image_index, self.roi_size, fine_hw=maps.fine_hw, coarse_hw=maps.coarse_hw, sampling_ratio=self.sampling_ratio).coarse(torch.ones_like("),
    ),
    *faults(
        "mfd/memory.py", "tests/test_memory.py",
        ("large blocks given back", "        mallopt(_MMAP_MAX, 0)\n", ""),
    ),
    *faults(
        "mfd/kernels/deform_attn/reference.py", "tests/kernels/deform_attn",
        ("softmax over images instead of points", ".softmax(0).movedim(0, -1)", ".softmax(1).movedim(0, -1)"),
    ),
    *faults(
        "mfd/headtrain/presets/sizes.py", "tests/headtrain/presets",
        ("RoIAlign priced by its corners alone", "ROI_ALIGN_MACS = 18", "ROI_ALIGN_MACS = 16"),
        ("further layers counted once too often", "config.box_layers - 1", "config.box_layers"),
    ),
)

RECIPE = [
    *faults(
        "mfd/headtrain/training/step.py",
        "tests/headtrain/training",
        ('gradients not clipped', 'config.max_grad_norm or float("inf")', 'float("inf")'),
    ),
    *faults(
        "mfd/headtrain/training/loop.py",
        "tests/headtrain/training",
        ('no weight decay', 'weight_decay=config.weight_decay', 'weight_decay=0.0'),
        ('another beta1', 'betas=(config.beta1, config.beta2)', 'betas=(0.8, config.beta2)'),
    ),
    *faults(
        "mfd/headtrain/sources/sampler.py",
        "tests/headtrain/sources",
        ('batches of an epoch not shuffled', 'random.permutation(len(batches))', 'range(len(batches))'),
    ),
    *faults(
        "mfd/headtrain/evaluation/metrics/coco.py",
        "tests/headtrain/evaluation",
        ('300 detections per image and category', 'PER_CATEGORY = 100', 'PER_CATEGORY = 300'),
    ),
    *faults(
        "mfd/headtrain/evaluation/baselines.py",
        "tests/headtrain/evaluation",
        ('untrained head never with C1', '"baseline-roi-c1" if spec.c1_channels == spec.dim else "baseline-roi"', '"baseline-roi"'),
        ('untrained head of another RoI size', 'roi_size=size', 'roi_size=24'),
    ),
    *faults(
        "mfd/headtrain/head/mask_scoring.py",
        "tests/headtrain/head",
        ('IoU estimates begin at 0', 'PRIOR_IOU = 0.7', 'PRIOR_IOU = 0.0'),
    ),
    *faults(
        "mfd/headtrain/targets/match.py",
        "tests/headtrain/targets",
        ('no GIoU cost', 'GIOU_COST = 2.0', 'GIOU_COST = 0.0'),
        ('L1 cost 1', 'L1_COST = 5.0', 'L1_COST = 1.0'),
        ('class cost 1', 'CLASS_COST = 2.0', 'CLASS_COST = 1.0'),
    ),
    *faults(
        "mfd/headtrain/training/losses.py",
        "tests/headtrain/training",
        ('dice without its 2', '(2 * overlap + 1)', '(overlap + 1)'),
        ('IoU of masks above 0.3', 'else (logits.sigmoid(), 0.5)', 'else (logits.sigmoid(), 0.3)'),
        ('object outside of the box ignored', 'mask.mean((1, 2)) + area_ratio.to(truth.dtype) - overlap', 'mask.mean((1, 2)) + truth.mean((1, 2)) - overlap'),
    ),
    *faults(
        "mfd/headtrain/config/train.py",
        "tests/headtrain/config",
        ('warm-up one step late', '(step + 1) / max(self.warmup_steps, 1)', 'step / max(self.warmup_steps, 1)'),
        ('drops one step late', 'step >= drop * total_steps', 'step > drop * total_steps'),
    ),
    *faults(
        "mfd/headtrain/training/points.py",
        "tests/headtrain/training",
        ('the decided points preferred', 'undecided = -read_at', 'undecided = read_at'),
        ('points read from padding', 'padding_mode="border"', 'padding_mode="zeros"'),
    ),
    *faults(
        "mfd/headtrain/targets/objects.py",
        "tests/headtrain/targets",
        ('crowd regions matched', 'if annotation.iscrowd:', 'if False:'),
    ),
    *faults(
        "mfd/headtrain/targets/build.py",
        "tests/headtrain/targets",
        ('targets of other annotations', '"annotations": dataset.annotations_sha256,', '"annotations": "",'),
    ),
    *faults(
        "mfd/headtrain/inference/paste.py",
        "tests/headtrain/inference",
        ('masks above 0.4', 'threshold: float = 0.5', 'threshold: float = 0.4'),
    ),
    *faults(
        "mfd/headtrain/inference/masks.py",
        "tests/headtrain/inference",
        ('mean of the mask above 0.3', 'above = maps > 0.5', 'above = maps > 0.3'),
    ),
    *faults(
        "mfd/nn/boxes.py",
        "tests/nn",
        ('boxes of double size', 'centre - size / 2, centre + size / 2', 'centre - size, centre + size'),
    ),
    *faults(
        "mfd/opening/project.py",
        "tests/commands",
        ('layer of --store not checked', 'store.spec.encoder_layer != layer', 'False'),
    ),
    *faults(
        "mfd/headtrain/config/train.py", "tests/headtrain/config",
        ("default beta1 0.8", "default=0.9, ge=0, lt=1", "default=0.8, ge=0, lt=1"),
        ("default beta2 0.99", "default=0.999, ge=0, lt=1", "default=0.99, ge=0, lt=1"),
        ("default weight decay 5e-4", "default=5e-5", "default=5e-4"),
        ("default warm-up of 500 steps", "default=50, ge=0", "default=500, ge=0"),
        ("first drop at 0.8", "default=0.9, ge=0, le=1", "default=0.8, ge=0, le=1"),
        ("second drop at 0.99", "default=0.95", "default=0.99"),
        ("drops to a half", "time. [paper]\", default=0.1", "time. [paper]\", default=0.5"),
        ("default gradient norm 0.1", "default=1.0,\n        ge=0,", "default=0.1,\n        ge=0,"),
        ("default BCE weight 5", "default=2.0, ge=0", "default=5.0, ge=0"),
        ("default dice weight 2", "default=5.0, ge=0", "default=2.0, ge=0"),
        ("default IoU weight 0.1", "default=1.0, ge=0\n", "default=0.1, ge=0\n"),
        ("half of the points", "cell. [paper]\", default=0.25", "cell. [paper]\", default=0.5"),
        ("no more candidates than points", "default=3.0, ge=1", "default=1.0, ge=1"),
        ("importance 0.5", "default=0.75, ge=0, le=1", "default=0.5, ge=0, le=1"),
        ("point settings ignored", "PointSampling(self.point_share, self.point_oversample, self.point_importance)", "PointSampling()"),
    ),
    *faults(
        "mfd/headtrain/training/losses.py", "tests/headtrain/training",
        ("dice with a tiny epsilon", "(2 * overlap + 1) / (probability.sum(1) + target.sum(1) + 1)", "(2 * overlap + 1e-6) / (probability.sum(1) + target.sum(1) + 1e-6)"),
        ("every cell a point", "round(sampling.share * logits[0].numel())", "logits[0].numel()"),
        ("candidates per point not passed on", "oversample=sampling.oversample", "oversample=3.0"),
        ("importance not passed on", "importance=sampling.importance", "importance=0.75"),
    ),
    *faults(
        "mfd/headtrain/training/step.py", "tests/headtrain/training",
        ("points of every step the same", "SeedSequence([seed, step])", "SeedSequence([seed])"),
        ("points of every seed the same", "SeedSequence([seed, step])", "SeedSequence([step])"),
        ("weights of BCE and dice swapped", "config.bce_weight * losses.bce", "config.dice_weight * losses.bce"),
        ("points never sampled", "config.sampling if head.config.sampled_points else None", "None"),
        ("point settings of the run ignored", "config.sampling if", "TrainConfig().sampling if"),
    ),
    *faults(
        "mfd/headtrain/head/image_encoders/swin.py", "tests/headtrain/head",
        ("Swin windows of 7", "WINDOW = 14", "WINDOW = 7"),
        ("Swin windows never shifted", "shifted=bool(index % 2)", "shifted=False"),
    ),
    *faults(
        "mfd/headtrain/head/mask_scoring.py", "tests/headtrain/head",
        ("scoring shapes the masks", "-1).detach()", "-1)"),
    ),
    *faults(
        "mfd/headtrain/targets/match.py", "tests/headtrain/targets",
        ("focal alpha 0.5", "_FOCAL_ALPHA = 0.25", "_FOCAL_ALPHA = 0.5"),
    ),
    *faults(
        "mfd/headtrain/targets/objects.py", "tests/headtrain/targets",
        ("crop rounded down", "np.rint(cells * 255)", "np.floor(cells * 255)"),
        ("crops of a flipped view not flipped", "-1 if self.view.flips else 1", "1"),
        ("crops beyond the edge of a view", "frame, size, window)", "frame, size)"),
    ),
    *faults(
        "mfd/headtrain/inference/masks.py", "tests/headtrain/inference",
        ("masks ranked by class alone", "self.candidates.scores * self.quality", "self.candidates.scores"),
        ("IoU of the first category", "image_iou[chosen.query_row, chosen.columns]", "image_iou[chosen.query_row, 0]"),
    ),
    *faults(
        "mfd/headtrain/inference/prediction.py", "tests/headtrain/inference",
        ("prediction scored by class alone", "self.class_score * self.quality", "self.class_score"),
    ),
    *faults(
        "mfd/headtrain/inference/select.py", "tests/headtrain/inference",
        ("boxes of a turned image", "[width, height, width, height]", "[height, width, height, width]"),
        ("columns taken for category ids", "torch.tensor(spec.category_ids)[columns]", "columns"),
    ),
    *faults(
        "mfd/headtrain/evaluation/metrics/coco.py", "tests/headtrain/evaluation",
        ("AP75 at 0.7", "precision[5, :, :, 0]", "precision[4, :, :, 0]"),
        ("small and medium swapped", "precision[:, :, :, 1]", "precision[:, :, :, 2]"),
        ("masks sorted by the area of boxes", 'if kind == "bbox":', "if True:"),
        ("crowd regions count as objects", '"iscrowd": int(found.iscrowd)', '"iscrowd": 0'),
    ),
    *faults(
        "mfd/headtrain/sources/lite.py", "tests/headtrain/sources",
        ("C1 of another image", "self._files.get(features.image_id)", "next(iter(self._files.values()))"),
        ("lite store by any weights", '("weights_digest", "preprocessing")', '("preprocessing",)'),
    ),
    *faults(
        "mfd/headtrain/sources/assemble.py", "tests/headtrain/sources",
        ("crops of another factor", "CELLS_PER_CELL = 4", "CELLS_PER_CELL = 2"),
    ),
    *faults(
        "mfd/headtrain/sources/stored.py", "tests/headtrain/sources",
        ("last smaller batch forgotten", "-(-len(self._image_ids) // self._config.batch_size)", "len(self._image_ids) // self._config.batch_size"),
        ("images without objects counted", "return len(self._image_ids)", "return len(self._views[0].store)"),
        ("every epoch in the order of the first", "size, seed, epoch)", "size, seed, 0)"),
    ),
    *faults(
        "mfd/cache/format/encodings/int8.py", "tests/cache/format",
        ("int8 in 63 steps", "_STEPS = 127", "_STEPS = 63"),
        ("int8 scale by the largest value's sign", "torch.maximum(rows.amax(0), -rows.amin(0))", "rows.amax(0)"),
    ),
    *faults(
        "mfd/coco/categories.py", "tests/coco",
        ("a category of COCO lost", "range(1, 91)", "range(1, 90)"),
    ),
    *faults(
        "mfd/commands/train_head.py", "tests/commands",
        ("encoder layer of a preset ignored", "encoder_layer(project, preset)", "project.encoder_layer"),
    ),
    *faults(
        "mfd/commands/predict.py", "tests/commands",
        ("detector of the run ignored", "override(run.config.detector,", "override(project.choice,"),
        ("category names of the run ignored", "run.load_head(device), run.config.categories)", "run.load_head(device), {})"),
    ),
    *faults(
        "mfd/api.py", "tests/test_api.py",
        ("layer of the run ignored", "layer = own.encoder_layer if encoder_layer is None else encoder_layer", "layer = encoder_layer"),
    ),
]
"""Recipe constants and the joining of parts."""

FAULTS = [*FAULTS, *RECIPE]
