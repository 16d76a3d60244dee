"""Read files of ``torch.save`` from elsewhere without executing code from them."""

import errno
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from m3.errors import UserError
from m3.reading import refuse_special

_ERRORS = (
    *(AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(pickle.UnpicklingError, struct.error),
)
"""What ``torch.load`` raises where the bytes are not what it expects."""


def read_torch_file(path: Path) -> Mapping[Any, Any]:
    """Read the mapping in a file of tensors, to the CPU.

    Raises:
        UserError: the file is missing, damaged, or holds something else.
    """
    try:
        refuse_special(path)
    except OSError as error:
        raise UserError(f"{path} {'does not exist' if error.errno == errno.ENOENT else error.strerror}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _ERRORS as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} is damaged or not a file of torch.save with tensors only: {reason}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no state dictionary but a {type(content).__name__}")
    return content
