"""Upload a run to the Hub and download it again."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from m3.config.identity import canonical
from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.files.contents import read_metrics, read_scores
from m3.files.names import METRICS, SCORES, WEIGHTS
from m3.files.run_folder import refuse_other_settings, resolved_name, write_settings
from m3.hub.places import Place, fetch, missing_library, parse, refusal, weights_place
from m3.runs.weights import Weights, load_weights

CARD = "README.md"
"""Where the Hub looks for a card."""


def push(run: Path, address: str, licence: str = "mit", private: bool = False) -> str:
    """Put a finished run on the Hub: weights, settings, scores, metrics, and a card.

    Args:
        run: the run's folder.
        address: where to, ``hf://OWNER/NAME`` or a folder in it; the repository is made where it is missing.
        licence: of the weights, by the Hub's names for licences.
        private: whether a repository that is made now is private.

    Returns:
        the page of what was pushed.

    Raises:
        UserError: the run is not finished, a file is damaged, or the Hub refuses.
    """
    place = parse(address)
    if place.is_file:
        raise UserError(f"{address}: give a repository or a folder in it, to put the run's files in")
    weights = load_weights(run / WEIGHTS)
    files = _files(run, weights, place, licence)
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ModuleNotFoundError as error:
        raise missing_library(error) from error
    operations = [CommitOperationAdd(place.within(name).path, content) for name, content in files.items()]
    api = HfApi()
    try:
        api.create_repo(place.repository, private=private, exist_ok=True)
        message = f"{weights.settings.benchmark} {weights.settings.task} seed {weights.settings.seed}"
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


def _files(run: Path, weights: Weights, place: Place, licence: str) -> dict[str, bytes]:
    """Name -> content of what is pushed."""
    from m3.hub.card import CURVE, card, curve

    settings = weights.settings
    scores = _content(run / SCORES, read_scores, "evaluate")
    metrics = _content(run / METRICS, read_metrics, "train")
    picture = io.BytesIO()
    curve(metrics).savefig(picture, format="png", dpi=150, metadata={"Software": None})
    return {
        CARD: card(place, settings, scores, metrics, licence).encode(),
        CURVE: picture.getvalue(),
        resolved_name(settings): canonical(settings).encode(),
        **{name: (run / name).read_bytes() for name in (WEIGHTS, METRICS, SCORES)},
    }


def _content(path: Path, read: Callable[[Path], tuple[dict[str, Any], Any]], command: str) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} does not exist: m3 {command} makes it")
    return read(path)[0]
