"""Faults of targets, sources, losses, optimiser and recipe constants."""

# ruff: noqa: E501

from .fault import faults

# fmt: off
TRAINING = [
    *faults(
        "mfd/headtrain/training/step.py", "tests/headtrain/training",
        ("gradients not clipped", "config.max_grad_norm or float(\"inf\")", "float(\"inf\")"),
        ("recorded gradients put elsewhere at every step", "set_to_none=recorded is None", "set_to_none=True"),
    ),
    *faults(
        "mfd/headtrain/training/passes.py", "tests/headtrain/training",
        ("weights of BCE and dice swapped", "config.bce_weight * losses.bce", "config.dice_weight * losses.bce"),
        ("points never sampled", "config.sampling if head.config.sampled_points else None", "None"),
        ("point settings of the run ignored", "config.sampling if", "TrainConfig().sampling if"),
        ("Swin on whole maps recorded", "head.image_encoder == \"swin\"", "head.image_encoder == \"convnext\""),
    ),
    *faults(
        "mfd/headtrain/training/recorded.py", "tests/headtrain/training/test_recorded.py",
        ("fillers trained", "losses.masked_fill(filler, 0).sum()", "losses.sum()"),
        ("number of boxes recorded for good", "self._take(batch, divisor))\n", "self._take(batch, torch.full_like(divisor, boxes)))\n"),
        ("values overwritten by the next part", "[:, : len(part.crops)].clone()", "[:, : len(part.crops)]"),
        ("values of fillers told", "[:, : len(part.crops)].clone()", ".clone()"),
        ("old memory read after a move", "self._passes.clear()", "pass"),
        ("shapes never forgotten", "self._passes.popitem(last=False)", "pass"),
        ("the latest shape forgotten first", "self._passes.popitem(last=False)", "self._passes.popitem(last=True)"),
    ),
    *faults(
        "mfd/headtrain/training/rounded.py", "tests/headtrain/training/test_recorded.py",
        ("maps rounded to their own pixels", "step = max(PIXELS // stride, 1)", "step = PIXELS"),
        ("fillers not told apart", "row >= count, ", "row > count, "),
        ("boxes rounded to powers of two", "bit_length() - 3, 0)", "bit_length(), 0)"),
    ),
    *faults(
        "mfd/headtrain/head/batch.py", "tests/headtrain/training/test_recorded.py",
        ("fillers attended to", "self.image_index.masked_fill(self.filler, -1)", "self.image_index"),
    ),
    *faults(
        "mfd/headtrain/training/loop.py", "tests/headtrain/training",
        ("no weight decay", "weight_decay=config.weight_decay", "weight_decay=0.0"),
        ("another beta1", "betas=(config.beta1, config.beta2)", "betas=(0.8, config.beta2)"),
    ),
    *faults(
        "mfd/headtrain/sources/boxes.py", "tests/headtrain/sources",
        ("points of every step the same", "SeedSequence([seed, step])", "SeedSequence([seed])"),
        ("points of every seed the same", "SeedSequence([seed, step])", "SeedSequence([step])"),
    ),
    *faults(
        "mfd/headtrain/sources/sampler.py", "tests/headtrain/sources",
        ("batches of an epoch not shuffled", "random.permutation(len(batches))", "range(len(batches))"),
    ),
    *faults(
        "mfd/headtrain/targets/match.py", "tests/headtrain/targets",
        ("no GIoU cost", "GIOU_COST = 2.0", "GIOU_COST = 0.0"),
        ("L1 cost 1", "L1_COST = 5.0", "L1_COST = 1.0"),
        ("class cost 1", "CLASS_COST = 2.0", "CLASS_COST = 1.0"),
        ("focal alpha 0.5", "_FOCAL_ALPHA = 0.25", "_FOCAL_ALPHA = 0.5"),
    ),
    *faults(
        "mfd/headtrain/training/losses.py", "tests/headtrain/training",
        ("dice without its 2", "(2 * overlap + 1)", "(overlap + 1)"),
        ("IoU of masks above 0.3", "else (logits.sigmoid(), 0.5)", "else (logits.sigmoid(), 0.3)"),
        ("object outside of the box ignored", "mask.mean((1, 2)) + area_ratio.to(truth.dtype) - overlap", "mask.mean((1, 2)) + truth.mean((1, 2)) - overlap"),
        ("dice with a tiny epsilon", "(2 * overlap + 1) / (probability.sum(1) + target.sum(1) + 1)", "(2 * overlap + 1e-6) / (probability.sum(1) + target.sum(1) + 1e-6)"),
    ),
    *faults(
        "mfd/headtrain/config/train.py", "tests/headtrain/config",
        ("warm-up one step late", "(step + 1) / max(self.warmup_steps, 1)", "step / max(self.warmup_steps, 1)"),
        ("drops one step late", "step >= drop * total_steps", "step > drop * total_steps"),
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
        "mfd/headtrain/training/points.py", "tests/headtrain/training",
        ("every cell a point", "sampling.share * logits.shape[1]", "logits.shape[1]"),
        ("always three candidates per point", "round(sampling.oversample * count)", "round(3.0 * count)"),
        ("three quarters always important", "round(sampling.importance * count)", "round(0.75 * count)"),
        ("the decided points preferred", "undecided = -read_at", "undecided = read_at"),
        ("points read from padding", "padding_mode=\"border\"", "padding_mode=\"zeros\""),
    ),
    *faults(
        "mfd/headtrain/targets/objects.py", "tests/headtrain/targets",
        ("crowd regions matched", "if annotation.iscrowd:", "if False:"),
        ("crop rounded down", "np.rint(cells * 255)", "np.floor(cells * 255)"),
        ("crops of a flipped view not flipped", "-1 if self.view.flips else 1", "1"),
        ("crops beyond the edge of a view", "frame, size, window)", "frame, size)"),
    ),
    *faults(
        "mfd/headtrain/targets/build.py", "tests/headtrain/targets",
        ("targets of other annotations", "\"annotations\": dataset.annotations_sha256,", "\"annotations\": \"\","),
    ),
    *faults(
        "mfd/headtrain/sources/lite.py", "tests/headtrain/sources",
        ("C1 of another image", "self._files.get(features.image_id)", "next(iter(self._files.values()))"),
        ("lite store by any weights", "(\"weights_digest\", \"preprocessing\")", "(\"preprocessing\",)"),
    ),
    *faults(
        "mfd/headtrain/sources/assemble.py", "tests/headtrain/sources",
        ("crops of another factor", "CELLS_PER_CELL = 4", "CELLS_PER_CELL = 2"),
    ),
    *faults(
        "mfd/headtrain/sources/stored.py", "tests/headtrain/sources",
        ("last smaller batch forgotten", "-(-len(self._image_ids) // self.config.batch_size)", "len(self._image_ids) // self.config.batch_size"),
        ("images without objects counted", "return len(self._image_ids)", "return len(self._views[0].store)"),
        ("every epoch in the order of the first", "size, seed, epoch)", "size, seed, 0)"),
    ),
]
