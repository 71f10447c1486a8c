"""Faults of the kernels."""

# ruff: noqa: E501

from .fault import faults

# fmt: off
KERNELS = [
    *faults(
        "mfd/kernels/deform_attn/triton.py", "tests/kernels/deform_attn/test_api.py",
        ("gradients of x and y swapped in 16 bits", "cells.paired(x_grad, y_grad,", "cells.paired(y_grad, x_grad,"),
    ),
    *faults(
        "mfd/kernels/deform_attn/cells.py", "tests/kernels/deform_attn/test_api.py",
        ("sign of x spread over y", ".to(tl.int32) & 0xFFFF", ".to(tl.int32)"),
    ),
    *faults(
        "mfd/kernels/deform_attn/cells.py", "tests/kernels/deform_attn",
        ("axes swapped", "axis(x, reference_x, width, FUSED)", "axis(x, reference_x, height, FUSED)"),
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
        ("gradient of x stored for y, too", "xy % 2 == 0, x_grad[:, None], y_grad[:, None])", "xy % 2 == 0, x_grad[:, None], x_grad[:, None])"),
        ("gradient of a point beside its own", "xy // 2 == t, both", "xy // 2 == t + 1, both"),
        ("gradients of every fourth point the same", "(t_all // 4 == t // 4) & (t_all % 4 == t % 4)", "(t_all % 4 == t % 4)"),
        ("one column of pixels taken for two", "dot_01 = tl.where(width > 1, dot_01, 0.0)", "dot_01 = tl.where(height > 1, dot_01, 0.0)"),
        ("one line of pixels taken for two", "dot_10 = tl.where(height > 1, dot_10, 0.0)", "dot_10 = dot_10"),
        ("softmax of 16 bits not normalised", "            top += log_total\n", ""),
        ("softmax gradient of attention not normalised", "logits - top[:, None] - log_total[:, None])", "logits - top[:, None])"),
        ("gradient in pixels instead of map sizes", "                x_grad *= width\n", ""),
    ),
    *faults(
        "mfd/kernels/deform_attn/launch.py", "tests/kernels/deform_attn",
        ("gradient of value not cleared first", "out = torch.zeros(", "out = torch.empty("),
        ("additions where two runs must agree", "are_deterministic_algorithms_enabled():\n        return True", "are_deterministic_algorithms_enabled():\n        return False"),
        ("choice of a newer device taken", "and since <= capability]", "]"),
        ("vectors of additions expected of older devices", "kernel == \"value_grad\" and capability < 90", "False"),
    ),
    *faults(
        "mfd/kernels/deform_attn/tiles.py", "tests/kernels/deform_attn/test_tiles.py",
        ("one counter for all runs", "* RUNS + run)[:, None]", "* RUNS)[:, None]"),
        ("points placed one too far", ", \"relaxed\") - 1, slot)", ", \"relaxed\"), slot)"),
        ("line in the place of the column", "x = (column.to(ACC) + x)", "x = (line.to(ACC) + x)"),
        ("sorted points with weights not normalised", " / exps[:, None]", ""),
        ("bins of a level among those of the next", "tl.where(other < level, tl.cdiv(area", "tl.where(other <= level, tl.cdiv(area"),
        ("neighbour a line above and a column before forgotten", "tl.maximum(begin - width - 1, 0)", "tl.maximum(begin - width, 0)"),
        ("neighbour a column before forgotten", "tl.maximum(begin - 1, 0)", "tl.maximum(begin, 0)"),
        ("last bin of the line above forgotten", "tl.cdiv(tl.maximum(stop - width, 0), BIN)", "tl.maximum(stop - width, 0) // BIN"),
        ("points twice where lines are short", "here = tl.maximum(tl.maximum(begin - 1, 0) // BIN, above_end)", "here = tl.maximum(begin - 1, 0) // BIN"),
        ("tile reads beyond its level", "stop = tl.minimum(begin + TILE, area)", "stop = begin + TILE"),
        ("hats of lines and columns swapped", "tl.abs(point_y - y)", "tl.abs(point_y - x)"),
        ("head lost in reading the gradient", "grad += image * Q * M * D + head * D", "grad += image * Q * M * D"),
    ),
    *faults(
        "mfd/kernels/deform_attn/launch_tiles.py", "tests/kernels/deform_attn/test_tiles.py",
        ("last tiles of the levels forgotten", "call.area // CHOICE.tile + call.levels", "call.area // CHOICE.tile"),
        ("queries after the last whole run forgotten", "runs = triton.cdiv(call.queries, run)", "runs = max(call.queries // run, 1)"),
    ),
    *faults(
        "mfd/kernels/roi_align/triton.py", "tests/kernels/roi_align",
        ("first image read for all boxes", "tl.load(image + box)", "tl.load(image)"),
        ("last row of cells forgotten", "while row < last:", "while row < last - 1:"),
        ("boxes taken in the order given", "box = tl.load(order + i)", "box = i"),
        ("taps counted one too few", "tl.where(weights != 0, t_y + 1, 0)", "tl.where(weights != 0, t_y, 0)"),
    ),
    *faults(
        "mfd/kernels/roi_align/triton_tables.py", "tests/kernels/roi_align",
        ("equal pixels of a cell not joined", "merged = tl.sum(tl.where(same, share[:, None, :], 0.0), 2)", "merged = share"),
        ("taps counted with those already joined", "(place[:, None, :] < place[:, :, None]) & is_first[:, None, :]", "(place[:, None, :] < place[:, :, None])"),
        ("spare taps not cleared", "tl.store(weight + row + t[None, :], tl.zeros([BLOCK_S, BLOCK_T], ACC), mask=spare)", "pass"),
        ("up-sampling from the other axis", "coarse = tl.load(coarse_hw + own)", "coarse = tl.load(coarse_hw + 2 * tl.load(image + box))"),
        ("last column of a box forgotten", "tl.maximum(right, column + 1)", "tl.maximum(right, column)"),
        ("boxes of an image counted from the next", "below = (images < number)", "below = (images <= number)"),
    ),
    *faults(
        "mfd/kernels/roi_align/api.py", "tests/kernels/roi_align",
        ("coarse maps read at fine places", "axis_tables(*where, coarse_hw, *how)", "axis_tables(*where, None, *how)"),
        ("sum lost in reading", "return self._read(features, self._coarse, add)", "return self._read(features, self._coarse, None)"),
    ),
    *faults(
        "mfd/kernels/roi_align/taps.py", "tests/kernels/roi_align",
        ("up-sampling past the border", " * ratio - 0.5).clamp(min=0)", " * ratio - 0.5)"),
    ),
    *faults(
        "mfd/kernels/layer_norm/triton.py", "tests/kernels/layer_norm",
        ("channels that are not there in the variance", "centred = tl.where((d < D)[None, :], total - middle[:, None], 0.0)", "centred = total - middle[:, None]"),
        ("eps lost", "/ D + eps)", "/ D)"),
        ("gradient of the mean forgotten", "(g - (tl.sum(g, 1) / D)[:, None] - normed", "(g - normed"),
        ("weight forgotten on the way back", "        g *= w[None, :]\n", ""),
        ("blocks of rows beyond the programs skipped", "        block += tl.num_programs(0)\n", "        block += N\n"),
    ),
    *faults(
        "mfd/kernels/layer_norm/launch.py", "tests/kernels/layer_norm",
        ("result in the type of its sums", "out = torch.empty(x.shape, dtype=x.dtype", "out = torch.empty(x.shape, dtype=exact"),
    ),
    *faults(
        "mfd/kernels/layer_norm/op.py", "tests/kernels/layer_norm",
        ("gradient of what is added lost", "of_sum.to(x.dtype), of_sum.to(y.dtype)", "of_sum.to(x.dtype), None"),
    ),
    *faults(
        "mfd/kernels/unpack/triton.py", "tests/kernels/unpack",
        ("high code of the last byte stored for an odd number of channels", "high = p + P < C", "high = p < P"),
        ("constants of the first image used for all", "channel = image * C + p", "channel = p"),
        ("halves of a byte side by side", "out + row * C + (p + P)[None, :]", "out + row * C + (p + 1)[None, :]"),
    ),
    *faults(
        "mfd/kernels/flops.py", "tests/kernels/test_flops.py",
        ("one corner of a point counted", "return 2 * 4 * prod", "return 2 * prod"),
        ("formulas missing where the counter comes later", "sys.meta_path.insert(0, _Registrar())", "pass"),
    ),
    *faults(
        "mfd/kernels/deform_attn/reference.py", "tests/kernels/deform_attn",
        ("softmax over images instead of points", ".softmax(0).movedim(0, -1)", ".softmax(1).movedim(0, -1)"),
    ),
    *faults(
        "mfd/kernels/drop_in.py", "tests/kernels/test_drop_in.py",
        ("ends of maps taken for their beginnings", "areas.cumsum(0) - areas", "areas.cumsum(0)"),
        ("boxes left in the image's pixels", "corners * spatial_scale", "corners"),
        ("height and width of the grid exchanged", "*table(0, height), *table(1, width)", "*table(0, width), *table(1, height)"),
    ),
]
