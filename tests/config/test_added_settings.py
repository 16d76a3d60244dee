"""Settings keep their meaning: a new one does not change the runs that do not use it."""

from pathlib import Path

import pytest

from m3.config import identity
from m3.config.experiment import Run
from m3.config.identity import ADDED, canonical, config_hash, from_canonical
from m3.config.layers import merge
from m3.config.loading import load_run
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.files.run_folder import read_resolved, resolved_name

RESOLVED = sorted((Path(__file__).parent / "resolved").glob("resolved-*.yaml"))
"""Settings as runs of training version 5 have them in their folders, from before any setting was added."""


def as_of_now(path: Path) -> str:
    """A stored text, of the training version that the code has now."""
    return path.read_text().replace("training_version: 5\n", f"training_version: {TRAINING_VERSION}\n")


@pytest.mark.parametrize("path", RESOLVED, ids=lambda path: path.stem)
def test_a_run_from_before_a_setting_was_added_keeps_its_identity(path: Path, tmp_path: Path) -> None:
    """If this fails after a new setting: name it in ``m3.config.identity.ADDED``."""
    assert resolved_name(from_canonical(path.read_text(), "old")) == path.name
    text = as_of_now(path)
    settings = from_canonical(text, "old")
    assert canonical(settings) == text
    in_folder = tmp_path / resolved_name(settings)
    in_folder.write_text(text)
    assert read_resolved(in_folder) == settings


@pytest.mark.parametrize("path", RESOLVED, ids=lambda path: path.stem)
def test_the_same_files_in_config_resolve_to_the_same_run(path: Path) -> None:
    """So that a finished run is not trained again. After a wanted change of these files, store the settings anew."""
    old = from_canonical(as_of_now(path), "old")
    assert canonical(load_run(Run(old.benchmark, old.variant, old.task, old.seed))) == as_of_now(path)


def content_of(settings: RunSettings) -> dict:
    return settings.model_dump(mode="json")


def nested(key: str, value: object) -> dict:
    for part in reversed(key.split(".")):
        value = {part.partition("[")[0]: value}
    assert isinstance(value, dict)
    return value


OTHER_VALUES = {
    "world_model.sequence": {"kind": "attention", "cache": "bfloat16"},
    "controller.curiosity_while_collecting_only": True,
    "tokenizer.quantizer": {"kind": "fsq", "levels": [4, 4]},
    "compile": "default",
    "command": "python agent.py",
    "options": {"learning_rate": 0.1},
    "initialize_from": {"world_model": "results/runs/other"},
    "dataset": "dataset.h5",
    "environment[gymnasium].outside": "clip",
    "environment[gymnasium].when_it_fails": "truncate",
    "environment[dmc].train_step_limit": 250,
    "tokenizer.optimizer.schedule": "linear",
    "world_model.optimizer.schedule": "linear",
    "controller.optimizer.schedule": "linear",
}
RUNS = {"gymnasium": Run("cpu_cartpole", "m3", "CartPole-v1", 0), "dmc": Run("dmc500k", "m3", "walker-walk", 0)}
"""A run of each family that has settings of its own in ``ADDED``."""


@pytest.mark.parametrize("key", ADDED)
def test_an_added_setting_is_a_part_of_the_identity_where_it_is_used(key: str) -> None:
    family = key.partition("[")[2].partition("]")[0]
    settings = load_run(RUNS[family] if family else Run("toy", "m3", "image", 0))
    assert nested(key, ADDED[key]) == overlap(content_of(settings), nested(key, ADDED[key])), "the default changed"
    other = RunSettings.model_validate(merge([content_of(settings), nested(key, OTHER_VALUES[key])]))
    assert config_hash(other) != config_hash(settings)
    assert from_canonical(canonical(other), "other") == other


def overlap(content: dict, mask: dict) -> dict:
    """The part of nested content that has the keys of another."""
    return {k: overlap(content[k], v) if isinstance(v, dict) else content[k] for k, v in mask.items()}


def test_a_part_that_is_added_to_an_added_section_is_left_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_run(Run("toy", "m3", "image", 0))
    replay = content_of(settings)["replay"]
    whole = {name: value for name, value in replay.items() if name != "initial_loss"}
    monkeypatch.setattr(identity, "ADDED", {"replay": whole, "replay.initial_loss": replay["initial_loss"]})
    text = canonical(settings)
    assert "replay" not in text
    for _ in range(2):
        assert from_canonical(text, "old").replay == settings.replay
    assert whole == {name: value for name, value in replay.items() if name != "initial_loss"}


def test_what_an_old_run_had_is_not_what_the_default_has_become(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old text means what it meant, also if a default changes later."""
    settings = load_run(Run("toy", "m3", "image", 0))
    monkeypatch.setattr(identity, "ADDED", {"controller.discount": 0.5, "no_section.key": 1})
    assert "discount: 0.99" in canonical(settings)
    old = canonical(settings).replace("  discount: 0.99\n", "")
    assert from_canonical(old, "old").controller.discount == 0.5
    assert canonical(from_canonical(old, "old")) == old


def test_a_mapping_of_another_kind_replaces_the_whole_one() -> None:
    below = {"a": {"kind": "x", "size": 1}, "b": {"size": 1}, "c": {"kind": "x", "size": 1}}
    above = {"a": {"kind": "y"}, "b": {"kind": "y"}, "c": {"kind": "x", "more": 2}}
    assert merge([below, above]) == {
        "a": {"kind": "y"},
        "b": {"kind": "y", "size": 1},
        "c": {"kind": "x", "size": 1, "more": 2},
    }
