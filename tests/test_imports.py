"""Who may import what: models know no simulators, and light commands no torch."""

import json
import subprocess
import sys

import pytest

SIMULATORS = ("ale_py", "gymnasium", "dm_control", "dm_env", "mujoco", "craftax", "jax", "PIL")
WORKFLOW = ("snakemake", "rliable", "matplotlib")


MODELS = ("m3.agent.agent", "m3.agent.behavior", "m3.world_model.losses", "m3.nn.perceptual")
TRAINING = ("m3.runs.train", "m3.runs.evaluate", "m3.reference.golden")


def imported_by(*modules: str) -> set[str]:
    """All modules of a fresh process after importing these."""
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(json.loads(output))


def test_models_and_training_import_no_simulator() -> None:
    assert imported_by(*MODELS, *TRAINING).isdisjoint((*SIMULATORS, *WORKFLOW))


def test_models_know_nothing_of_training_environments_and_files() -> None:
    layers = {name.split(".")[1] for name in imported_by(*MODELS) if name.startswith("m3.")}
    assert layers == {
        "agent",
        "world_model",
        "tokenizers",
        "nn",
        "config",
        "specs",
        "errors",
        "python_files",
        "reading",
        "torch_files",
    }


def test_what_computes_knows_nothing_of_runs_on_disk() -> None:
    layers = {
        name.split(".")[1] for name in imported_by("m3.training.trainer", "m3.data.samplers") if name.startswith("m3.")
    }
    computing = {"agent", "world_model", "tokenizers", "nn", "config", "specs", "errors", "python_files", "seeding"}
    assert layers == computing | {"data", "environments", "training"}


@pytest.mark.parametrize(
    "modules",
    [
        ("m3", "m3.files.names"),
        ("m3.config.loading", "m3.config.plan", "m3.config.identity", "m3.cli"),
        ("m3.data.replay", "m3.data.samplers"),
        ("m3.files.hdf5", "m3.files.provenance", "m3.files.run_folder", "m3.files.progress", "m3.files.tree"),
        ("m3.programs.contract", "m3.programs.results"),
        ("m3.runs.status", "m3.runs.lease", "m3.runs.failure", "m3.runs.stops", "m3.runs.checkpoint"),
        ("m3.analysis.score_files", "m3.analysis.sources", "m3.analysis.scores"),
        ("m3.environments", "m3.environments.toy"),
    ],
    ids=["the package itself", "config", "data", "files", "programs", "runs", "analysis", "environments"],
)
def test_what_needs_no_networks_imports_no_torch(modules: tuple[str, ...]) -> None:
    assert imported_by(*modules).isdisjoint(("torch", *SIMULATORS))


def test_what_a_snakefile_reads_is_light() -> None:
    light = ("m3.analysis.catalog", "m3.analysis.score_files", "m3.config.plan")
    assert imported_by(*light).isdisjoint(("pandas", "matplotlib", "h5py"))
