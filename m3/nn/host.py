"""The two doors between host and device: nothing else reads a tensor's values during training or acting."""

import numpy as np
import torch
from torch import Tensor


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """Put an array on a device: the same memory on the CPU; a GPU copies it while the host goes on."""
    return _to_device(array, device)


def download(tensor: Tensor) -> np.ndarray:
    """Read a tensor's values: the same memory on the CPU; on a GPU the host waits for them."""
    return _to_host(tensor.detach())


def _to_device(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _to_host(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
