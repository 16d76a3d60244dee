"""The two files of the perceptual distance: where they come from, and whether their contents are right."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.reading import open_regular

PRETRAINED = {
    "vgg16-397923af.pth": (
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "lpips-v0.1-vgg.pth": (
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}
"""Name -> address and SHA-256."""


_ATTEMPTS = 3
_BLOCK = 2**20


def download(name: str, folder: Path) -> None:
    """Download one of the files into a folder. It gets its name once its SHA-256 is right.

    Raises:
        UserError: it cannot be downloaded, is another file than expected, or cannot be written.
    """
    address, expected = PRETRAINED[name]
    found = hashlib.sha256()
    with atomic_file(folder / name) as file:
        for block in _blocks(name, address, folder):
            found.update(block)
            file.write(block)
        if found.hexdigest() != expected:
            raise _not_downloaded(name, address, folder, "what is there is another file")


def _blocks(name: str, address: str, folder: Path) -> Iterator[bytes]:
    """Yield what stands at an address, piece by piece."""
    try:
        with _opened(address) as response:
            while block := response.read(_BLOCK):
                yield block
    except (OSError, HTTPException) as error:
        raise _not_downloaded(name, address, folder, str(getattr(error, "reason", error))) from error


def _opened(address: str) -> Any:
    for attempt in range(1, _ATTEMPTS):
        try:
            return urlopen(address, timeout=30)
        except OSError:
            time.sleep(attempt)
    return urlopen(address, timeout=30)


def _not_downloaded(name: str, address: str, folder: Path, reason: str) -> UserError:
    return UserError(
        f"{name} cannot be downloaded ({reason}): put it into {folder}/ by hand (from {address}), or set "
        "tokenizer.perceptual to none, as the variant no-perceptual does"
    )


def refuse_other_weights(folder: Path, names: Iterable[str] = PRETRAINED) -> None:
    """Raise UserError where a file of these names in a folder has another content; what is missing is not looked at."""
    for name in names:
        path, (_, expected) = folder / name, PRETRAINED[name]
        if path.exists():
            try:
                with open_regular(path) as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}") from error
            if found != expected:
                raise UserError(
                    f"{path} is not the published file of that name (its SHA-256 is {found[:12]}..., not "
                    f"{expected[:12]}...): delete it, and `m3 pretrained` downloads it"
                )
