"""A run's folder: the settings to which it belongs, and what its files say about the run."""

from difflib import get_close_matches
from pathlib import Path

from m3.config.identity import canonical, config_hash, from_canonical
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.config.yaml_files import read_text
from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.files.names import ANY_SETTINGS, CHECKPOINTS, RESULTS, RUNS, SETTINGS
from m3.files.provenance import Provenance


def identifying(settings: RunSettings) -> dict[str, str | int]:
    """Return the four names of a run, as its files hold them."""
    return {
        "benchmark": settings.benchmark,
        "variant": settings.variant,
        "task": settings.task,
        "seed": settings.seed,
    }


def provenance_of(settings: RunSettings, device: str = "cpu") -> Provenance:
    """Return where a file of one run comes from; ``device`` is the name of what computed its content."""
    return Provenance(canonical(settings), config_hash(settings), [settings.seed], device)


def checkpoint_folder(folder: Path, settings: RunSettings) -> Path:
    """Return where checkpoints of a run with these settings are; other settings have another place."""
    return folder / CHECKPOINTS / config_hash(settings)[:8]


def resolved_name(settings: RunSettings) -> str:
    """Return the name of the file with the canonical text in a run's folder. Other settings have another name."""
    return settings_name(config_hash(settings))


def settings_name(identity: str) -> str:
    """Return the name of the file of settings that have this hash."""
    return SETTINGS.format(hash=identity[:8])


def read_resolved(path: Path) -> RunSettings:
    """Read the settings in a file of canonical text.

    Raises:
        UserError: the file is damaged or foreign, was changed under the name that holds the hash, or is for a code
            that trains otherwise.
    """
    settings = from_canonical(read_text(path), str(path))
    expected = resolved_name(settings)
    if path.name != expected:
        raise UserError(f"{path}: was renamed or changed by hand, its content belongs to {expected}; resolve it again")
    if settings.training_version != TRAINING_VERSION:
        given = settings.training_version
        raise UserError(f"{path}: is for training version {given}, this is {TRAINING_VERSION}; resolve it again")
    return settings


def settings_files(folder: Path) -> list[Path]:
    """Find the files of settings in a run's folder: one, or none before it is resolved."""
    return sorted(folder.glob(ANY_SETTINGS))


def read_settings(folder: Path) -> RunSettings:
    """Read the settings in a run's folder.

    Raises:
        UserError: there are none, or more than one.
    """
    files = settings_files(folder)
    if len(files) != 1:
        raise UserError(f"{folder} has {len(files) or 'no'} {ANY_SETTINGS}; give the folder of one run")
    return read_resolved(files[0])


def write_settings(folder: Path, settings: RunSettings) -> Path:
    """Make a folder the one of these settings.

    What other settings left there is removed before the new settings appear, so that no interruption can leave old
    results beside new settings. Checkpoints and logs stay: they carry the hash of their own settings.

    Returns:
        the file with the settings.
    """
    path = folder / resolved_name(settings)
    outdated = [other for other in settings_files(folder) if other != path]
    if outdated:
        for name in RESULTS:
            (folder / name).unlink(missing_ok=True)
    for other in outdated:
        other.unlink()
    with atomic_file(path) as file:
        file.write(canonical(settings).encode())
    return path


def claim_folder(folder: Path, settings: RunSettings) -> None:
    """Make a folder the one of these settings, unless it has results of others.

    Raises:
        UserError: it has, and they would be lost.
    """
    found = [name for name in RESULTS if (folder / name).exists()]
    if found and not (folder / resolved_name(settings)).exists():
        raise UserError(f"{folder} has {found[0]} of other settings: give another folder by --run, or delete this one")
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(folder, settings)


def nearest_run(folder: Path) -> UserError:
    """Make the error for a run's folder that does not exist, with the nearest of those that do."""
    runs = [str(found) for found in Path(RUNS).glob("*/*/*/seed-*")]
    near = get_close_matches(str(folder), runs, n=1)
    return UserError(f"there is no folder {folder}" + (f": did you mean {near[0]}?" if near else ""))


def refuse_other_settings(folder: Path, settings: RunSettings) -> None:
    """Raise UserError where a folder holds the settings of another run."""
    found = [path.name for path in settings_files(folder)]
    if found and resolved_name(settings) not in found:
        raise UserError(
            f"{folder} is now of the settings in {found[0]}, not of {resolved_name(settings)}: train those, or use "
            "another folder"
        )
