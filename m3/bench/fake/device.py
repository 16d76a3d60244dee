"""A CUDA device of tensors that have shapes, types and a device, but no values."""

import ctypes
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

import m3.training.trainer
from m3 import seeding
from m3.bench.fake.lstm import fake_lstm
from m3.errors import UserError
from m3.nn import host

CUDA = torch.device("cuda:0")


@dataclass
class Traffic:
    """What passed between host and device: the lines of code that asked for it, and of uploads the bytes."""

    uploads: list[tuple[str, int]] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    captures: int = 0
    """Of CUDA graphs."""
    capturing: bool = False

    def clear(self) -> None:
        self.uploads.clear()
        self.downloads.clear()
        self.captures = 0

    @contextmanager
    def capture(self, graph: object) -> Iterator[None]:
        """Stand in for ``torch.cuda.graph``: open a context in which nothing may pass."""
        self.captures += 1
        self.capturing = True
        yield
        self.capturing = False

    def refuse_while_capturing(self) -> None:
        if self.capturing:
            raise RuntimeError(f"{_caller()} meets the host while a CUDA graph is captured")


@contextmanager
def fake_cuda() -> Iterator[Traffic]:
    """Open a context in which ``CUDA`` is a device whatever the machine has, and no tensor on it has values.

    Operations on tensors of two devices, and reading a value other than by ``m3.nn.host.download`` (which gives zeros),
    fail.

    Raises:
        UserError: torch has no CUDA, and g++ is missing.
    """
    traffic = Traffic()

    def to_device(array: np.ndarray, device: torch.device) -> Tensor:
        traffic.refuse_while_capturing()
        traffic.uploads.append((_caller(), array.nbytes))
        return torch.from_numpy(array).to(device, non_blocking=True)

    def to_host(tensor: Tensor) -> np.ndarray:
        if not isinstance(tensor, FakeTensor):
            return tensor.numpy()
        traffic.refuse_while_capturing()
        traffic.downloads.append(_caller())
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    with ExitStack() as stack:
        if not torch.backends.cuda.is_built():
            guard = _guard()
            guard.have_cuda(True)
            stack.callback(guard.have_cuda, False)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        for target, name, substitute in (
            (host, "_to_device", to_device),
            (host, "_to_host", to_host),
            (seeding, "_generator", lambda device: torch.Generator("cpu")),
            (m3.training.trainer, "Agent", _with_values(m3.training.trainer.Agent)),
            (nn.Module, "_apply", _apply),
            (torch, "lstm", fake_lstm(torch.lstm)),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            (torch.cuda, "is_bf16_supported", lambda *args, **kwargs: True),
            (torch.cuda, "graph", traffic.capture),
            (torch.cuda, "CUDAGraph", mock.MagicMock()),
            (torch.cuda, "Stream", mock.MagicMock()),
            (torch.cuda, "stream", mock.MagicMock()),
            (torch.cuda, "current_stream", mock.MagicMock()),
            (torch.cuda, "synchronize", lambda *args: None),
            (torch.cuda, "reset_peak_memory_stats", lambda *args: None),
            (torch.cuda, "max_memory_allocated", lambda *args: 0),
            (torch.cuda, "get_rng_state", lambda *args: torch.zeros(16, dtype=torch.uint8)),
            (torch.cuda, "set_rng_state", lambda *args, **kwargs: None),
            (torch.cuda, "get_device_name", lambda *args: "no device"),
            (nn.utils.clip_grad, "_has_foreach_support", lambda *args: True),
        ):
            stack.enter_context(mock.patch.object(target, name, substitute))
        yield traffic


@cache
def _guard() -> ctypes.CDLL:
    """Build and load what tells a torch without CUDA that there is a device."""
    from torch.utils.cpp_extension import include_paths, library_paths

    folders = [f"-I{path}" for path in include_paths()] + [f"-L{path}" for path in library_paths()]
    with TemporaryDirectory() as folder:
        library = Path(folder) / "libguard.so"
        source = Path(__file__).with_name("guard.cpp")
        command = ["g++", "-shared", "-fPIC", "-std=c++20", str(source), "-o", str(library), *folders]
        try:
            subprocess.run([*command, "-ltorch_cpu", "-lc10"], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise UserError(
                "g++ is missing, which this needs where torch has no CUDA: install a C++ compiler"
            ) from error
        except subprocess.CalledProcessError as error:
            raise UserError(f"g++ cannot compile {source} for torch {torch.__version__}: {error.stderr}") from error
        guard = ctypes.CDLL(str(library))
    guard.have_cuda.argtypes = [ctypes.c_bool]
    # Without a kernel of its own, torch takes the backward pass of SiLU for several operations.
    _KEPT.impl("silu_backward", _no_kernel, "CUDA")
    return guard


_KEPT = torch.library.Library("aten", "IMPL")


def _no_kernel(*args: Any, **kwargs: Any) -> Tensor:
    raise RuntimeError("a tensor on the fake device has no values")


def _with_values(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Make the same constructor run on real tensors: initialisation reads values."""

    def made(*args: Any) -> nn.Module:
        with unset_fake_temporarily():
            return make(*args)

    return made


def _apply(module: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """``nn.Module._apply``, which cannot turn real parameters into fake ones."""
    for child in module.children():
        child._apply(fn)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            module._parameters[name] = nn.Parameter(fn(parameter.data), parameter.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = fn(buffer)
    return module


def _caller() -> str:
    """Name the place outside of :mod:`m3.nn.host` and this module that asked, as file:line."""
    ours = (__file__, host.__file__)
    frames = [frame for frame in traceback.extract_stack() if f"{Path('/m3')}/" in frame.filename]
    frame = next(frame for frame in reversed(frames) if frame.filename not in ours)
    return f"m3/{frame.filename.rpartition('/m3/')[2]}:{frame.lineno}"
