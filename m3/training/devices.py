"""Choose the device, and make its results reproducible."""

import os

import torch

from m3.errors import UserError


def select_device(name: str) -> torch.device:
    """Choose the device of a name: "auto" is a CUDA GPU if there is one; or "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: valid are auto, cpu, cuda, cuda:N and mps") from error
    count = torch.cuda.device_count()
    if device.type == "mps" and torch.backends.mps.is_available():
        return device
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        raise UserError(f"device {name!r} is not available: there is the CPU and {count} CUDA device(s)")
    return device


def device_name(device: torch.device) -> str:
    """Name a device, such as "NVIDIA H100 80GB HBM3" or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def be_deterministic(device: torch.device, also_on_gpu: bool = False) -> None:
    """Let the same computation give the same bits, as far as torch can: for programs, before they compute anything.

    On the CPU always, as it costs nothing there; results still depend on the number of threads and the kind of
    processor. On a GPU only if asked: it is slower, and an operation that has no deterministic form is an error.
    """
    if device.type != "cpu" and not also_on_gpu:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
