"""What a run is: its settings and the version of the training. Nothing else is ever continued."""

from pathlib import Path

import pytest
from trained import SETTINGS, assert_same, in_epoch, train

from m3.config.identity import config_hash
from m3.errors import UserError
from m3.files.run_folder import resolved_name
from m3.runs.train import METRICS, WEIGHTS

OTHERS = [
    {"training_version": SETTINGS.training_version + 1},
    {"seed": 1},
    {"collection": SETTINGS.collection.model_copy(update={"epsilon": 0.2})},
]


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: next(iter(change)))
def test_other_settings_start_a_new_run_and_say_so(
    undisturbed: Path, tmp_path: Path, change: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    with in_epoch(4, lambda: 1 / 0), pytest.raises(UserError, match="ZeroDivisionError"):
        train(tmp_path, settings=SETTINGS.model_copy(update=change))
    capsys.readouterr()
    assert train(tmp_path)
    said = capsys.readouterr().out
    assert "continues" not in said
    assert "is a new run: its settings, or the training version, are not those of earlier checkpoints here" in said
    [left] = [path for path in (tmp_path / "checkpoints").iterdir() if path.name != config_hash(SETTINGS)[:8]]
    assert f"not used: {left}, " in said
    assert "B of other settings; delete it to free the space" in said
    assert left.exists()
    assert_same(undisturbed, tmp_path)


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resolved-01234567.yaml").touch()
    with pytest.raises(
        UserError, match=f"is now of the settings in resolved-01234567.yaml, not of {resolved_name(SETTINGS)}"
    ):
        train(tmp_path)


def test_results_of_old_settings_never_stand_beside_new_ones(tmp_path: Path) -> None:
    """The settings are resolved anew while a process still trains the old ones."""
    with (
        in_epoch(5, (tmp_path / "resolved-01234567.yaml").touch),
        pytest.raises(UserError, match="is now of the settings"),
    ):
        train(tmp_path)
    assert not (tmp_path / WEIGHTS).exists()
    assert not (tmp_path / METRICS).exists()
