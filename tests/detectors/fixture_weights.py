"""Weights and images that any implementation can rebuild bit for bit from a manifest.

The scheme is called `fixture-weights-v1`; the reference folder's README describes it.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Manifest = dict[str, Any]


def read_manifest(folder: Path, model: str) -> Manifest:
    """The manifest of one model of the reference folder."""
    return json.loads((folder / f"{model}.manifest.json").read_text())


def state_dict(folder: Path, manifest: Manifest) -> dict[str, Tensor]:
    """Every entry of the manifest but integer buffers; aliases share their original's memory."""
    stored = manifest["weights"]["stored"]
    arrays = np.load(folder / stored) if stored else None
    salt = manifest["weights"]["salt"]
    state: dict[str, Tensor] = {}
    for entry in manifest["state_dict"]:
        key = entry["key"]
        if entry["dtype"] != "float32" or entry.get("alias_of"):
            continue
        array = make_array(key, entry["shape"], salt) if arrays is None else arrays[key]
        state[key] = torch.from_numpy(array.astype(np.float32, copy=False))
    aliases = {e["key"]: e["alias_of"] for e in manifest["state_dict"] if e.get("alias_of")}
    state.update({key: state[original] for key, original in aliases.items()})
    return state


def make_array(key: str, shape: list[int], salt: str) -> np.ndarray:
    """One weight: normal noise seeded by its name, scaled and shifted by a rule on the name."""
    noise = _generator(salt + key).standard_normal(shape, dtype=np.float32)
    scale, offset = _scale_and_offset(key, shape)
    if key.endswith("running_var"):
        noise = np.abs(noise)
    noise *= np.float32(scale)
    if offset:
        noise += np.float32(offset)
    return noise


def make_image(name: str, height: int, width: int) -> Tensor:
    """A (3, H, W) image that counts as already normalised: blocks of 32 pixels and fine noise."""
    generator = _generator("image:" + name)
    blocks = generator.standard_normal((3, -(-height // 32), -(-width // 32)), dtype=np.float32)
    fine = generator.standard_normal((3, height, width), dtype=np.float32)
    coarse = blocks.repeat(32, axis=1).repeat(32, axis=2)[:, :height, :width]
    return torch.from_numpy(np.float32(0.8) * coarse + np.float32(0.6) * fine)


def batch(manifest: Manifest, case: str, reference: np.lib.npyio.NpzFile) -> tuple[Tensor, Tensor]:
    """Images padded with zeros right and below, and the padding mask, of case "a" or "b"."""
    images = []
    for entry in manifest["inputs"][case]:
        if entry["stored_as"]:
            images.append(torch.from_numpy(reference[entry["stored_as"]]).float())
        else:
            images.append(make_image(entry["name"], entry["height"], entry["width"]))
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    padded = torch.zeros(len(images), 3, height, width)
    mask = torch.ones(len(images), height, width, dtype=torch.bool)
    for number, image in enumerate(images):
        padded[number, :, : image.shape[1], : image.shape[2]] = image
        mask[number, : image.shape[1], : image.shape[2]] = False
    return padded, mask


def _generator(text: str) -> np.random.Generator:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed))


def _scale_and_offset(key: str, shape: list[int]) -> tuple[float, float]:
    parts = ["", *key.split(".")]
    owner, leaf = parts[-2:]
    plain = {
        "running_var": (1.0, 0.5),
        "running_mean": (0.1, 0.0),
        "relative_position_bias_table": (0.5, 0.0),
        "gamma_1": (0.05, 0.15),
        "gamma_2": (0.05, 0.15),
        "level_embed": (1.0, 0.0),
    }
    if leaf in plain:
        return plain[leaf]
    if owner in ("query_embed", "tgt_embed", "label_enc"):
        return 1.0, 0.0
    if (owner, leaf) == ("sampling_offsets", "bias"):
        return 2.0, 0.0
    if len(shape) == 1 and leaf == "weight":
        return 0.1, 0.5 if owner == "bn3" else 1.0
    if len(shape) == 1 and "enc_out_class_embed" in parts:
        return 1.5, -2.0
    if len(shape) == 1 and "class_embed" in parts:
        return 0.5, -2.0
    if len(shape) == 1:
        return 0.1, 0.0
    return _matrix_factor(parts, len(shape)) / math.sqrt(math.prod(shape[1:])), 0.0


def _matrix_factor(parts: list[str], dimensions: int) -> float:
    owner, leaf = parts[-2:]
    if leaf == "in_proj_weight":
        return 1.5
    if parts[-3:] == ["layers", "2", "weight"] and {"bbox_embed", "enc_out_bbox_embed"} & {*parts}:
        return 0.7
    owners = {"sampling_offsets": 0.5, "linear2": 0.5, "attention_weights": 2.0, "out_proj": 0.5}
    return owners.get(owner, 1.1 if dimensions == 4 else 1.0)
