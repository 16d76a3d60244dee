"""Put a run on the Hub or into a folder, with a card, and download it again."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from m3.config.identity import canonical
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.files.contents import read_metrics, read_scores
from m3.files.names import METRICS, SCORES, WEIGHTS
from m3.files.run_folder import refuse_other_settings, resolved_name, write_settings
from m3.hub.places import Place, fetch, is_address, missing_library, parse, refusal, weights_place
from m3.runs.weights import load_weights

CARD = "README.md"
"""Where the Hub looks for a card."""


def push(run: Path, to: str, licence: str = "mit", private: bool = False) -> str:
    """Put a finished run on the Hub, or into a folder: weights, settings, scores, metrics, and a card.

    Args:
        run: the run's folder.
        to: ``hf://OWNER/NAME`` or a folder in it, where a missing repository is made; or a folder of this machine.
        licence: of the weights, by the Hub's names for licences.
        private: whether a repository that is made now is private.

    Returns:
        where it is: the page on the Hub, or the folder.

    Raises:
        UserError: the run is not finished, a file is damaged, the folder is another run's, or the Hub refuses.
    """
    if is_address(to) and parse(to).is_file:
        raise UserError(f"{to}: give a repository or a folder in it, to put the run's files in")
    settings = load_weights(run / WEIGHTS).settings
    if not is_address(to):
        refuse_other_settings(Path(to), settings)
    files = _files(run, settings, to, licence)
    if is_address(to):
        return _upload(files, parse(to), settings, private)
    write_settings(Path(to), settings)
    for name, content in files.items():
        with atomic_file(Path(to, name)) as file:
            file.write(content)
    return to


def _upload(files: dict[str, bytes], place: Place, settings: RunSettings, private: bool) -> str:
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ModuleNotFoundError as error:
        raise missing_library(error) from error
    operations = [CommitOperationAdd(place.within(name).path, content) for name, content in files.items()]
    api = HfApi()
    try:
        api.create_repo(place.repository, private=private, exist_ok=True)
        message = f"{settings.benchmark} {settings.task} seed {settings.seed}"
        done = api.create_commit(place.repository, operations, commit_message=message, revision=place.revision)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise refusal(place, error) from error
    return done.commit_url


def pull(address: str, run: Path) -> list[str]:
    """Make a folder the copy of a run on the Hub; return the names of the files that came.

    Args:
        address: of the run's folder on the Hub.
        run: the folder; of no other run.

    Raises:
        UserError: there is no such run, a file is damaged, or the folder is another run's.
    """
    place = weights_place(address)
    folder = place._replace(path=place.path.rpartition("/")[0])
    source = fetch(place)
    settings = load_weights(source).settings
    refuse_other_settings(run, settings)
    sources = {WEIGHTS: source}
    for name in (METRICS, SCORES):
        try:
            sources[name] = fetch(folder.within(name))
        except UserError:
            continue  # an agent without them can be watched and evaluated too
    names = [write_settings(run, settings).name]
    for name, path in sources.items():
        with open(path, "rb") as content, atomic_file(run / name) as file:
            shutil.copyfileobj(content, file)
    return [*names, *sources]


def _files(run: Path, settings: RunSettings, to: str, licence: str) -> dict[str, bytes]:
    """Name -> content of what is pushed."""
    from m3.hub.card import CURVE, Card

    scores, origin = _content(run / SCORES, read_scores, "evaluate")
    metrics, _ = _content(run / METRICS, read_metrics, "train")
    card = Card(to, settings, scores, metrics, origin, licence)
    picture = io.BytesIO()
    card.curve().savefig(picture, format="png", dpi=150, metadata={"Software": None})
    return {
        CARD: card.text().encode(),
        CURVE: picture.getvalue(),
        resolved_name(settings): canonical(settings).encode(),
        **{name: (run / name).read_bytes() for name in (WEIGHTS, METRICS, SCORES)},
    }


def _content(
    path: Path, read: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]], command: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path} does not exist: m3 {command} makes it")
    return read(path)
