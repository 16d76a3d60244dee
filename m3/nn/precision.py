"""Number formats of training."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from m3.config.schema import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Open a context for forward passes: products in bfloat16 where the precision asks for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def product_dtype(x: Tensor) -> torch.dtype:
    """Tell the number format of products with ``x`` in the surrounding context."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


@contextmanager
def tf32_products(precision: Precision) -> Iterator[None]:
    """Open a context for forward and backward passes: TF32 products on a GPU only where the precision asks for it."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Open a context for forward passes in which products of float32 tensors are float32, whatever surrounds it.

    Compiled code has one setting of TF32 throughout, so settings do not combine the two.
    """
    tf32 = nullcontext() if torch.compiler.is_compiling() else tf32_products("fp32")
    with tf32, torch.autocast(device.type, enabled=False):
        yield
