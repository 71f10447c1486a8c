"""What proves that a detector's weights are the same as before."""

import hashlib

import torch
from torch import nn


def weights_digest(module: nn.Module) -> str:
    """sha256, hex, over names, types, shapes and bytes of all parameters and stored buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        raw = tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8)
        digest.update(memoryview(raw.numpy()))
    return digest.hexdigest()
