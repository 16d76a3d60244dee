"""Settings from files: layers, identity, and the experiments that the project ships."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from m3.config.experiment import Run
from m3.config.identity import canonical, config_hash
from m3.config.json_schema import FILES, schema_text
from m3.config.layers import Layer, merge, validate
from m3.config.loading import load_benchmark, load_run
from m3.config.plan import load_experiment
from m3.config.schema import Optimizer
from m3.config.yaml_files import dump_yaml, read_yaml
from m3.errors import UserError
from m3.files.run_folder import read_resolved, resolved_name

ALIEN = Run("atari100k", "m3", "Alien", 0)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def experiment(config: Path, text: str) -> Path:
    path = config / "own.yaml"
    path.write_text(f"name: own\n{text}")
    return path


def test_layers_win_in_order_of_benchmark_variant_experiment(config: Path) -> None:
    (config / "variants" / "mine.yaml").write_text(
        "label: Mine\n"
        "settings: {controller: {discount: 0.9, lambda_: 0.8}, epochs: 7}\n"
        "benchmarks: {atari100k: {controller: {lambda_: 0.7}}}\n"
    )
    path = experiment(
        config,
        "runs: [{benchmark: atari100k, variants: [mine], tasks: [Alien, Pong], seeds: 1}]\n"
        "overrides:\n"
        "  - {where: {benchmark: atari100k}, set: {epochs: 8}}\n"
        "  - {where: {task: Pong}, set: {epochs: 9}}\n",
    )
    runs = load_experiment(path, config).runs
    alien = runs[Run("atari100k", "mine", "Alien", 0)]
    assert alien.controller.entropy_weight == 0.001  # default
    assert alien.controller.lstm_width == 512  # benchmark
    assert alien.controller.discount == 0.9  # variant
    assert alien.controller.lambda_ == 0.7  # variant, for this benchmark
    assert alien.epochs == 8  # experiment
    assert runs[Run("atari100k", "mine", "Pong", 0)].epochs == 9  # its later override


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ("world_model: {optimizer: {learning_rate: 0.001}}", ["world_model.optimizer.learning_rate: 0.001"]),
        ("controller: {optimizer: {weight_decay: 0}}", ["controller.optimizer.weight_decay: 0"]),
        ("tokenizer: {optimizer: {max_gradient_norm: 2}}", ["tokenizer.optimizer.max_gradient_norm: 2"]),
        ("tokenizer: {schedule: {batch_size: 16}}", ["tokenizer.schedule.batch_size: 16"]),
        ("replay: {initial_loss: 2}", ["replay.initial_loss: 2"]),
        ("environment: {max_noops: 0}", ["environment.max_noops: 0"]),
    ],
)
def test_a_part_of_a_section_leaves_the_rest_of_it(config: Path, settings: str, changed: list[str]) -> None:
    """Also where the rest are defaults of a whole section."""
    (config / "variants" / "mine.yaml").write_text(f"label: Mine\nsettings: {{{settings}}}\n")

    def lines(variant: str) -> set[str]:
        leaves = []
        content = load_run(Run("atari100k", variant, "Alien", 0), config).model_dump(mode="json")
        todo = [("", content)]
        while todo:
            key, value = todo.pop()
            if isinstance(value, dict):
                todo += [(f"{key}.{name}" if key else name, part) for name, part in value.items()]
            else:
                leaves.append(f"{key}: {value:g}" if isinstance(value, float) else f"{key}: {value}")
        return set(leaves)

    assert lines("mine") - lines("m3") == {"variant: mine", *changed}


def test_merging_replaces_lists_and_keeps_its_arguments() -> None:
    below = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge([below, {"a": {"y": [3]}}, {"b": None}]) == {"a": {"x": 1, "y": [3]}, "b": None}
    assert below == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_seeds_are_a_number_or_a_list_and_default_to_the_benchmarks(config: Path) -> None:
    path = experiment(
        config,
        "runs:\n"
        "  - {benchmark: atari100k, tasks: [Pong], seeds: [3, 7]}\n"
        "  - {benchmark: craftax1m, seeds: 1}\n"
        "  - {benchmark: dmc500k, tasks: [walker-run]}\n",
    )
    runs = load_experiment(path, config).runs
    assert [run.seed for run in runs if run.benchmark == "atari100k"] == [3, 7]
    assert [run.seed for run in runs if run.benchmark == "craftax1m"] == [0]
    assert [run.seed for run in runs if run.benchmark == "dmc500k"] == [0, 1, 2, 3, 4]


def test_experiments_change_resources_and_episodes_without_touching_runs(config: Path) -> None:
    path = experiment(config, "runs: [{benchmark: atari100k, tasks: [Alien], seeds: 1}]\n")
    before = load_experiment(path, config)
    edit(path, "runs", "final_episodes: 3\nresources: {atari100k: {train: {gpu: 2}}}\nruns")
    after = load_experiment(path, config)
    assert after.resources["atari100k"].train.gpu == 2
    assert after.resources["atari100k"].train.runtime == before.resources["atari100k"].train.runtime
    assert (before.final_episodes("atari100k"), after.final_episodes("atari100k")) == (100, 3)
    assert after.runs == before.runs


def test_numbers_in_scientific_notation_are_floats(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("a: 1e-4\nb: 2E3\nc: -.5e+1\nd: 1e-4x\n")
    assert read_yaml(path) == {"a": 1e-4, "b": 2000.0, "c": -5.0, "d": "1e-4x"}


def test_the_canonical_text_reads_back_as_the_same_settings(tmp_path: Path) -> None:
    settings = load_run(ALIEN)
    path = tmp_path / resolved_name(settings)
    path.write_text(canonical(settings))
    assert read_resolved(path) == settings
    assert canonical(read_resolved(path)) == path.read_text()


def test_a_hash_depends_on_values_only(config: Path) -> None:
    original = config_hash(load_run(ALIEN, config))
    benchmark = config / "benchmarks" / "atari100k.yaml"
    edit(benchmark, "epsilon: 0.01", "epsilon: 1e-2")
    edit(benchmark, "epochs: 600", "epochs: 600 # as in the paper")
    edit(benchmark, "decay_scale_min: 4", "decay_scale_min: 4.0")
    edit(benchmark, "label: Atari 100K", "label: ALE")
    content = read_yaml(benchmark)
    benchmark.write_text(dump_yaml(dict(reversed(content.items()))))
    assert config_hash(load_run(ALIEN, config)) == original
    edit(benchmark, "epsilon: 0.01", "epsilon: 0.02")
    assert config_hash(load_run(ALIEN, config)) != original


def test_every_run_has_an_identity_of_its_own() -> None:
    runs = load_experiment(Path("config/quickstart.yaml")).runs
    assert len({config_hash(settings) for settings in runs.values()}) == len(runs)


@pytest.mark.parametrize("change", [("seed: 0", "seed: 1"), ("epochs: 600", "epochs: 601")])
def test_settings_changed_by_hand_are_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    settings = load_run(ALIEN)
    path = tmp_path / resolved_name(settings)
    path.write_text(canonical(settings).replace(*change))
    with pytest.raises(UserError, match="changed by hand"):
        read_resolved(path)


def test_settings_of_another_training_version_are_refused(tmp_path: Path) -> None:
    settings = load_run(ALIEN).model_copy(update={"training_version": 999})
    path = tmp_path / resolved_name(settings)
    path.write_text(canonical(settings))
    with pytest.raises(UserError, match="is for training version 999"):
        read_resolved(path)


def test_the_paper_has_225_runs_of_the_published_length() -> None:
    plan = load_experiment(Path("config/paper.yaml"))
    assert Counter(run.benchmark for run in plan.runs) == {"atari100k": 130, "dmc500k": 90, "craftax1m": 5}
    for run, settings in plan.runs.items():
        collecting = settings.collection.last_epoch or settings.epochs
        steps = collecting * settings.collection.steps_per_epoch
        assert steps == plan.benchmarks[run.benchmark].environment_steps


def test_simulus_a_is_m3_with_attention_fsq_and_no_curiosity_after_collection() -> None:
    plan = load_experiment(Path("config/simulus.yaml"))
    games = {run.task for run in plan.runs if run.benchmark == "atari100k"}
    assert {(run.benchmark, run.variant) for run in plan.runs} == {
        *(("atari100k", variant) for variant in ("m3", "attention", "fsq", "simulus-a")),
        *((benchmark, variant) for benchmark in ("dmc500k", "craftax1m") for variant in ("m3", "attention")),
    }
    assert "Breakout" in games
    of = {
        name: plan.settings(Run("atari100k", name, "Breakout", 0)) for name in ("m3", "attention", "fsq", "simulus-a")
    }
    world_model = of["attention"].world_model
    controller = of["m3"].controller.model_copy(update={"curiosity_while_collecting_only": True})
    changes = {"world_model": world_model, "tokenizer": of["fsq"].tokenizer, "controller": controller}
    assert of["simulus-a"] == of["m3"].model_copy(update={**changes, "variant": "simulus-a"})
    assert of["attention"] == of["m3"].model_copy(update={"world_model": world_model, "variant": "attention"})
    assert of["fsq"] == of["m3"].model_copy(update={"tokenizer": of["fsq"].tokenizer, "variant": "fsq"})


@pytest.mark.parametrize("name", FILES)
def test_editor_schemas_are_in_step_with_the_code(name: str) -> None:
    """After a change of m3/config: make schemas."""
    assert Path(f"config/schemas/{name}.json").read_text() == schema_text(name)
    assert json.loads(schema_text(name))["additionalProperties"] is False


def test_importing_the_configuration_is_light() -> None:
    code = (
        "import sys, m3.config.plan, m3.config.identity;"
        "print([m for m in ('torch', 'numpy', 'h5py', 'snakemake', 'gymnasium') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_validation_keeps_the_highest_value() -> None:
    layers = [
        Layer("a.yaml", {"learning_rate": 1, "weight_decay": 0, "max_gradient_norm": 1}),
        Layer("b.yaml", {"learning_rate": 2}),
    ]
    assert validate(Optimizer, layers, {"learning_rate": 3}).learning_rate == 3


def test_a_variant_at_the_size_of_another_keeps_its_own_settings() -> None:
    tiny, full = (load_run(Run("atari100k", "fsq", "Alien", 0), size=size) for size in ("tiny", None))
    assert tiny.tokenizer is not None
    assert full.tokenizer is not None
    assert tiny.variant == "fsq"
    assert tiny.tokenizer.quantizer == full.tokenizer.quantizer
    assert (tiny.epochs, tiny.tokenizer.channels) == (12, 8)
    assert load_run(Run("toy", "tiny", "image", 0), size="tiny") == load_run(Run("toy", "tiny", "image", 0))


def test_with_levels_the_vocabulary_is_their_product_whatever_the_benchmark_says(config: Path) -> None:
    run = Run("toy", "fsq", "image", 0)
    before = load_run(run, config)
    assert before.tokenizer is not None
    assert before.tokenizer.vocabulary == 512
    edit(config / "benchmarks" / "toy.yaml", "vocabulary: 16", "vocabulary: 77")
    assert load_run(run, config) == before


@pytest.mark.parametrize("benchmark", ["dmc500k", "craftax1m"])
def test_a_variant_of_image_tokens_is_refused_where_there_are_no_images(benchmark: str, config: Path) -> None:
    task = load_benchmark(benchmark, config).tasks[0]
    said = rf"variants/fsq.yaml: settings.tokenizer: does not apply to {benchmark}, which has no images to tokenize"
    with pytest.raises(UserError, match=said):
        load_run(Run(benchmark, "fsq", task, 0), config)
