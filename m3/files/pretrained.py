"""The two files of the perceptual distance: where they come from, and whether their contents are right."""

import hashlib
from pathlib import Path

from m3.errors import UserError
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


def refuse_other_weights(folder: Path) -> None:
    """Raise UserError where a file of these names in a folder has another content; what is missing is not looked at."""
    for name, (_, expected) in PRETRAINED.items():
        path = folder / name
        if path.exists():
            try:
                with open_regular(path) as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}") from error
            if found != expected:
                raise UserError(
                    f"{path} is not the published file of that name (its SHA-256 is {found[:12]}..., not "
                    f"{expected[:12]}...): delete it, and `snakemake --cores 1 perceptual_weights` downloads it"
                )
