"""Addresses of files on the Hub, ``hf://OWNER/NAME[@REVISION][/PATH]``, and fetching them."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from m3.errors import UserError
from m3.files.names import WEIGHTS

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<path>.+?))?/?")
_FORM = "an address on the Hub is hf://OWNER/NAME[@REVISION][/PATH]"


class Place(NamedTuple):
    """A file or folder in a repository of the Hub."""

    repository: str
    """OWNER/NAME"""
    path: str
    """In the repository; empty for its top."""
    revision: str
    """A branch, tag or commit."""

    @property
    def is_file(self) -> bool:
        """Whether the last part of the path has a suffix; folders of runs, such as seed-0, have none."""
        return "." in self.path.rpartition("/")[2]

    def within(self, name: str) -> "Place":
        """Return where a file of a run in this folder is."""
        return self._replace(path=f"{self.path}/{name}".lstrip("/"))

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{SCHEME}{self.repository}{revision}/{self.path}".rstrip("/")


def is_address(text: object) -> bool:
    """Tell whether a text is meant as an address on the Hub."""
    return isinstance(text, str) and text.startswith(SCHEME)


def parse(address: str) -> Place:
    """Read an address. Raises UserError where it is none."""
    match = _ADDRESS.fullmatch(address)
    parts = (match["path"] or "").split("/") if match else []
    if match is None or ".." in parts or "." in parts or (match["path"] and "" in parts):
        raise UserError(f"{address!r}: {_FORM}, such as {SCHEME}owner/name/{WEIGHTS}")
    return Place(match["repository"], match["path"] or "", match["revision"] or "main")


def fetch(place: Place) -> Path:
    """Fetch a file into the cache of the Hub's library, unless it is there, and check it.

    Without the Hub in reach, what is in the cache is used. HF_HOME, HF_ENDPOINT and HF_TOKEN hold here too.

    Raises:
        UserError: the file cannot be had, or is damaged.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError
    except ModuleNotFoundError as error:
        raise missing_library(error) from error
    try:
        path = Path(hf_hub_download(place.repository, place.path, revision=place.revision))
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise refusal(place, error) from error
    _check(path, place)
    return path


def weights_place(address: str) -> Place:
    """Return where the weights at an address are: the file of safetensors itself, or the one of a run's folder.

    Raises:
        UserError: the address is none, or that of another kind of file.
    """
    place = parse(address)
    file = place if place.is_file else place.within(WEIGHTS)
    if not file.path.endswith(".safetensors"):
        raise UserError(
            f"{address}: an agent is a file of safetensors; import-weights takes checkpoints of the authors"
        )
    return file


def weights_file(run: Path | str) -> Path:
    """Return where weights are on this machine: in a run's folder, in a file, or fetched from an address on the Hub.

    Raises:
        UserError: the address is none, or the file cannot be had.
    """
    if is_address(run):
        return fetch(weights_place(str(run)))
    return Path(run) / WEIGHTS if Path(run).is_dir() else Path(run)


def beside(run: Path | str, name: str) -> Path:
    """Return where a command puts a file that it makes of a run: in its folder, or here where the run is on the Hub."""
    return Path(name) if is_address(run) else Path(run) / name


def missing_library(error: ModuleNotFoundError) -> UserError:
    """Make the error for a library of the Hub's that is not installed."""
    return UserError(f"the Hub needs packages that are not installed ({error.name} is missing): pip install 'm3[hub]'")


def refusal(place: Place, error: Exception) -> UserError:
    """Make the error for what the Hub, or the way to it, refuses: in one line."""
    kind = type(error).__name__
    words = {
        "RepositoryNotFoundError": "there is no such repository, or it is private and HF_TOKEN does not open it",
        "GatedRepoError": "its owner has to grant access, and HF_TOKEN to prove it",
        "RevisionNotFoundError": f"there is no revision {place.revision!r}",
        "RemoteEntryNotFoundError": f"there is no file {place.path!r}",
        "EntryNotFoundError": f"there is no file {place.path!r}",
        "LocalEntryNotFoundError": "the Hub is not reached, and the file is not in the cache",
    }
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return UserError(f"{place}: {words.get(kind) or (lines[0] if lines else kind)}")


def _check(path: Path, place: Place) -> None:
    """Compare a file in the cache with the checksum that is its name there: SHA-256 of large files, git's of others."""
    blob = path.resolve()
    content = blob.read_bytes()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        found = hashlib.sha256(content).hexdigest()
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:  # a file system without links
        return
    if found != blob.name:
        raise UserError(f"{place}: its copy in the cache is damaged; delete {blob} and try again")
