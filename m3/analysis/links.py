"""Symbolic links that lead from a project's figures or results to somebody else's."""

from collections.abc import Iterator
from pathlib import Path

from m3.errors import UserError


def refuse_foreign(path: Path, top: Path) -> None:
    """Refuse a path below a folder that a symbolic link leads out of the folder.

    The folder itself may be a link: results are often kept on another disk.

    Raises:
        UserError: with where the path leads.
    """
    if not path.resolve().is_relative_to(top.resolve()):
        raise UserError(
            f"{path} leads out of {top} through a symbolic link, to {path.resolve()}: what is there is not of this "
            "project; verify it there"
        )


def linked_folders(root: Path) -> Iterator[str]:
    """Tell where figures and results of a project really are, in a line for each that is a symbolic link."""
    for folder in (root / "figures", root / "results"):
        if folder.is_symlink():
            yield f"{folder} is a symbolic link to {folder.resolve()}"
