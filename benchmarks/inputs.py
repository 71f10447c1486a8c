"""Inputs of the shapes that occur in Mask Frozen-DETR, and a plain baseline for each operation."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate


@dataclass(frozen=True)
class AttentionCase:
    """One call of multi-scale deformable attention.

    Attributes:
        batch: images, or boxes for the box encoder.
        shapes: height and width of each level.
        queries: None for one per pixel.
        spread: standard deviation of the offsets, pixels; None for uniform locations.
    """

    name: str
    batch: int
    shapes: tuple[tuple[int, int], ...]
    heads: int
    dim: int
    points: int = 4
    queries: int | None = None
    spread: float | None = 2.0

    def make(self, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
        """Value, offsets, logits, reference points and the gradient of the output, fresh."""
        levels = len(self.shapes)
        area = sum(height * width for height, width in self.shapes)
        queries = self.queries or area
        options = {"device": device, "dtype": torch.float32}
        total = levels * self.points
        if self.queries is None:
            centres = [pixel_centres(*shape, device) for shape in self.shapes]
            reference = torch.cat(centres)[None, :, None].expand(self.batch, -1, levels, 2)
            reference = reference + (torch.rand(reference.shape, **options) - 0.5) / 300
        else:
            reference = torch.rand(self.batch, queries, 1, 2, **options).expand(-1, -1, levels, 2)
        sizes = torch.tensor(self.shapes, device=device).flip(1).repeat_interleave(self.points, 0)
        points = (self.batch, queries, self.heads, total)
        if self.spread is None:
            anywhere = torch.rand(*points, 2, **options)
            origin = reference.repeat_interleave(self.points, 2)[:, :, None]
            offsets = (anywhere - origin) * sizes
        else:
            offsets = torch.randn(*points, 2, **options) * self.spread
        return {
            "value": torch.randn(self.batch, area, self.heads, self.dim, **options).to(dtype),
            "offsets": offsets.to(dtype),
            "logits": torch.randn(*points, **options).to(dtype),
            "reference": reference.contiguous(),
            "grad": torch.randn(self.batch, queries, self.heads, self.dim, **options).to(dtype),
        }

    def smooth(self, inputs: dict[str, Tensor]) -> Tensor:
        """(B, Q, M, T) whether a point lies further than 1/1000 pixel from all pixel centres.

        On a centre's row or column the gradient of a point jumps, and a rounding decides where to.
        """
        sizes = torch.tensor(self.shapes, device=inputs["value"].device).flip(1)
        sizes = sizes.repeat_interleave(self.points, 0)
        origin = inputs["reference"].double().repeat_interleave(self.points, 2)[:, :, None]
        pixels = origin * sizes + inputs["offsets"].double() - 0.5
        return ((pixels - pixels.round()).abs() > 1e-3).all(-1)


def pixel_centres(height: int, width: int, device: str) -> Tensor:
    """(H * W, 2) centres of a map's pixels, (x, y) in [0, 1]."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(
        0, 1
    )


def locations_and_weights(
    shapes: Tensor, offsets: Tensor, logits: Tensor, reference: Tensor
) -> tuple[Tensor, Tensor]:
    """What the fused form computes on the way: locations in [0, 1] and softmaxed weights."""
    weights = logits.softmax(-1).unflatten(-1, (len(shapes), -1))
    return locations(shapes, offsets, reference), weights


def locations(shapes: Tensor, offsets: Tensor, reference: Tensor) -> Tensor:
    """(B, Q, M, L, P, 2) from reference points in [0, 1] and offsets in pixels."""
    by_level = offsets.unflatten(3, (len(shapes), -1))
    return reference[:, :, None, :, None].to(offsets) + by_level / shapes.flip(1)[:, None]


def grid_sample_attention(
    value: Tensor, shapes: tuple[tuple[int, int], ...], where: Tensor, weights: Tensor
) -> Tensor:
    """Deformable attention by one `grid_sample` per level, as Transformers does it."""
    batch, _, heads, dim = value.shape
    maps = value.split([height * width for height, width in shapes], 1)
    samples = []
    for level, (height, width) in enumerate(shapes):
        image = maps[level].flatten(2).transpose(1, 2).reshape(batch * heads, dim, height, width)
        grid = (2 * where[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        samples.append(grid_sample(image, grid, align_corners=False))
    weights = weights.transpose(1, 2).flatten(3).flatten(0, 1)[:, None]  # (B * M, 1, Q, T)
    out = (torch.stack(samples, -2).flatten(-2) * weights).sum(-1)  # (B * M, D, Q)
    return out.view(batch, heads, dim, -1).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class BoxCase:
    """Boxes on stride-4 maps whose values come from stride-8 maps of half the size."""

    name: str
    batch: int
    boxes: int
    fine: tuple[int, int]
    channels: int
    cells: int = 32

    def make(self, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
        """Stride-8 maps, the neck's term on stride 4, boxes of sizes as in COCO, all fresh."""
        height, width = self.fine
        coarse = ((height + 1) // 2, (width + 1) // 2)
        sides = torch.randn(self.boxes, 2).mul(0.9).add(4.6).exp().clamp(20, 600) / 4
        sides = torch.minimum(sides, torch.tensor([width - 1.0, height - 1.0]))
        corner = torch.rand(self.boxes, 2) * (torch.tensor([width, height]) - sides)
        per_image = torch.arange(self.boxes) % self.batch
        return {
            "coarse": torch.randn(self.batch, *coarse, self.channels, device=device).to(dtype),
            "fine": torch.randn(self.batch, *self.fine, self.channels, device=device).to(dtype),
            "boxes": torch.cat([corner, corner + sides], 1).to(device),
            "images": per_image.to(device),
            "coarse_hw": torch.tensor([coarse] * self.batch, device=device),
            "fine_hw": torch.tensor([self.fine] * self.batch, device=device),
            "grad": torch.randn(
                self.boxes, self.cells, self.cells, self.channels, device=device
            ).to(dtype),
        }


@dataclass(frozen=True)
class NormCase:
    """Tokens and what is added to them before they are normalised."""

    name: str
    rows: int
    dim: int

    def make(self, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
        """Both parts of the sum, weight and bias in float32, the gradient of the output, fresh."""
        tokens = {
            name: torch.randn(self.rows, self.dim, device=device).to(dtype)
            for name in ("x", "y", "grad")
        }
        affine = {name: torch.randn(self.dim, device=device) for name in ("weight", "bias")}
        return tokens | affine


def upsampled(coarse: Tensor, fine: tuple[int, int]) -> Tensor:
    """Channels-last maps, bilinearly up-sampled."""
    large = interpolate(coarse.permute(0, 3, 1, 2), fine, mode="bilinear")
    return large.permute(0, 2, 3, 1)


def grid_sample_roi_align(features: Tensor, boxes: Tensor, images: Tensor, cells: int) -> Tensor:
    """RoIAlign by one `grid_sample` per box, two samples per cell and axis; boxes lie inside."""
    _, height, width, _ = features.shape
    maps = features.permute(0, 3, 1, 2)
    step = (torch.arange(2 * cells, device=boxes.device) + 0.5) / (2 * cells)
    out = []
    for box, image in zip(boxes, images.tolist(), strict=True):
        x = (box[0] + step * (box[2] - box[0])) / width
        y = (box[1] + step * (box[3] - box[1])) / height
        grid = torch.stack(torch.broadcast_tensors(x, y[:, None]), -1) * 2 - 1
        samples = grid_sample(
            maps[image][None], grid[None].to(maps), padding_mode="border", align_corners=False
        )
        out.append(samples.unflatten(3, (cells, 2)).unflatten(2, (cells, 2)).mean((3, 5))[0])
    return torch.stack(out).permute(0, 2, 3, 1)
