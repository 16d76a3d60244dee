"""Mistakes in config files: one line with the file, the key and the nearest valid name."""

from pathlib import Path

import pytest

from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.config.plan import load_experiment
from m3.errors import UserError

VALID = "name: own\nruns: [{benchmark: atari100k, variants: [tiny], tasks: [Breakout], seeds: 1}]\n"


def message(config: Path, command_line: dict[str, object] | None = None) -> str:
    """The error for the experiment own.yaml, without the folder in front of file names."""
    with pytest.raises(UserError) as caught:
        load_experiment(config / "own.yaml", config, command_line)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{config}/", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs: [", "own.yaml: line 1: expected the node content, but found '<stream end>'"),
        ("name: own\nname: two\n", "own.yaml: line 2: duplicate key 'name'"),
        ("- name\n", "own.yaml: expected keys and values, got list"),
        ("1: name\n", "own.yaml: line 1: key 1 is not text"),
        ("name: own\n", "own.yaml: runs: missing"),
        (VALID.replace("name: own", "name: runs"), "own.yaml: name: 'runs' is taken, it names a folder of results/"),
        (VALID.replace("name: own", "name: dmc500k"), "own.yaml: name: 'dmc500k' is taken, it names a benchmark"),
        (VALID.replace("name: own", "name: 7"), "own.yaml: name: must be a valid string, got 7"),
        (VALID + "statistic: {}\n", "own.yaml: unknown key 'statistic': did you mean 'statistics'?"),
        (VALID + "scores: all\n", "own.yaml: scores: must be 'published', 'own' or 'both', got 'all'"),
        (
            VALID + "statistics: {repetition: 5}\n",
            "own.yaml: statistics: unknown key 'repetition': did you mean 'repetitions'?",
        ),
        (
            VALID.replace("atari100k", "atari100"),
            "own.yaml: runs[0].benchmark: unknown benchmark 'atari100': did you mean 'atari100k'?",
        ),
        (VALID.replace("tiny", "tny"), "own.yaml: runs[0].variants[0]: unknown variant 'tny': did you mean 'tiny'?"),
        (
            VALID.replace("Breakout", "Pong, Brekout"),
            "own.yaml: runs[0].tasks[1]: unknown task of atari100k 'Brekout': did you mean 'Breakout'?",
        ),
        (
            VALID.replace("[Breakout]", "Breakout"),
            "own.yaml: runs[0].tasks: must be 'all' or a list such as [Breakout], got 'Breakout'",
        ),
        (VALID.replace("seeds", "seed"), "own.yaml: runs[0]: unknown key 'seed': did you mean 'seeds'?"),
        (
            VALID + "overrides: [{where: {task: Breakot}, set: {epochs: 1}}]\n",
            "own.yaml: overrides[0].where.task: unknown task of this experiment 'Breakot': did you mean 'Breakout'?",
        ),
        (
            VALID + "overrides: [{where: {}, set: {world_model: {schedule: {batch_size: -4}}}}]\n",
            "own.yaml: overrides[0].set.world_model.schedule.batch_size: must be greater than 0, got -4",
        ),
        (
            VALID + "overrides: [{where: {}, set: {seed: 3}}]\n",
            "own.yaml: overrides[0].set.seed: is part of what a run is and cannot be set",
        ),
        (
            VALID + "resources: {atari100k: {train: {gpus: 1}}}\n",
            "own.yaml: resources.atari100k.train: unknown key 'gpus': did you mean 'gpu'?",
        ),
        (
            VALID + "resources: {atari: {}}\n",
            "own.yaml: resources.atari: unknown benchmark 'atari': did you mean 'atari100k'?",
        ),
    ],
)
def test_mistakes_in_an_experiment(config: Path, text: str, expected: str) -> None:
    (config / "own.yaml").write_text(text)
    assert message(config) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("world_model: {layres: 3}", "world_model: unknown key 'layres': did you mean 'layers'?"),
        ("tokenizer: {scedule: 3}", "tokenizer: unknown key 'scedule': did you mean 'schedule'?"),
        ("environment: {frame_skp: 3}", "environment: unknown key 'frame_skp': did you mean 'frame_skip'?"),
        ("environment: {family: atary}", "environment: unknown family 'atary': did you mean 'atari'?"),
        ("epochs: many", "epochs: must be a valid integer, got 'many'"),
        ("epochs: 1.5", "epochs: must be a valid integer, got 1.5"),
        ("world_model: {dropout: 1.0}", "world_model.dropout: must be less than 1, got 1.0"),
        ("world_model: {width: 30}", "world_model: width 30 must be a multiple of 2 * heads = 8"),
        ("controller: {mlp: []}", "controller.mlp: Tuple should have at least 1 item after validation, not 0, got []"),
        ("controller: {mlp: [64, -1]}", "controller.mlp[1]: must be greater than 0, got -1"),
        ("sequences: {length: 2}", "sequences: length 2 must exceed context_length 2"),
    ],
)
def test_mistakes_in_a_variant(config: Path, settings: str, expected: str) -> None:
    (config / "variants" / "mine.yaml").write_text(f"label: Mine\nsettings: {{{settings}}}\n")
    (config / "own.yaml").write_text(VALID.replace("tiny", "mine"))
    assert message(config) == f"variants/mine.yaml: settings.{expected}"


def test_a_mistake_is_blamed_on_the_file_that_made_it(config: Path) -> None:
    (config / "variants" / "mine.yaml").write_text("label: Mine\nbenchmarks: {atari100k: {world_model: {heads: 3}}}\n")
    (config / "own.yaml").write_text(VALID.replace("tiny", "mine"))
    expected = "variants/mine.yaml: benchmarks.atari100k.world_model: width 256 must be a multiple of 2 * heads = 6"
    assert message(config) == expected


def test_a_missing_value_is_blamed_on_the_file_nearest_to_it(config: Path) -> None:
    benchmark = config / "benchmarks" / "atari100k.yaml"
    benchmark.write_text(benchmark.read_text().replace("    decay_scale_min: 4\n", ""))
    (config / "own.yaml").write_text(VALID.replace("tiny", "m3"))
    assert message(config) == "benchmarks/atari100k.yaml: settings.world_model.decay_scale_min: missing"


def test_a_variant_for_a_benchmark_that_does_not_exist(config: Path) -> None:
    (config / "variants" / "mine.yaml").write_text("label: Mine\nbenchmarks: {atari: {}}\n")
    (config / "own.yaml").write_text(VALID.replace("tiny", "mine"))
    assert message(config) == "variants/mine.yaml: benchmarks: unknown benchmark 'atari': did you mean 'atari100k'?"


def test_an_override_that_matches_nothing(config: Path) -> None:
    (config / "own.yaml").write_text(
        "name: own\n"
        "runs: [{benchmark: atari100k, tasks: [Pong], seeds: 1}, {benchmark: craftax1m, seeds: 1}]\n"
        "overrides: [{where: {benchmark: craftax1m, task: Pong}, set: {epochs: 1}}]\n"
    )
    assert message(config) == "own.yaml: overrides[0].where: no run of this experiment matches"


def test_the_command_line_sets_only_what_no_run_depends_on(config: Path) -> None:
    (config / "own.yaml").write_text(VALID)
    assert load_experiment(config / "own.yaml", config, {"partial": "true"}).experiment.partial is True
    assert message(config, {"scores": "mine"}).startswith("--config: scores: must be 'published', 'own' or 'both'")
    expected = "--config runs: only scores, partial and set can be given there; all else stands in own.yaml"
    assert message(config, {"runs": []}) == expected


def test_a_missing_file_is_named(config: Path) -> None:
    assert message(config) == "own.yaml: No such file or directory"
    (config / "owm.yaml").touch()
    assert message(config) == "own.yaml: No such file or directory; did you mean owm.yaml?"


def test_names_of_a_single_run_are_checked() -> None:
    with pytest.raises(UserError, match="unknown task of atari100k 'Alian': did you mean 'Alien'"):
        load_run(Run("atari100k", "m3", "Alian", 0))
