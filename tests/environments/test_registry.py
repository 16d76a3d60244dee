"""Which environments there are, and what happens when one is not."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from m3.config.simulators import ToyEnvironment
from m3.environments import make_environment, valid_tasks
from m3.errors import UserError

BENCHMARKS = Path(__file__).parents[2] / "config" / "benchmarks"
SIMULATORS = {"ale_py", "craftax", "dm_control", "gymnasium", "jax", "mujoco"}
TASKS = [
    (benchmark["settings"]["environment"]["family"], task)
    for benchmark in (yaml.safe_load(path.read_text()) for path in sorted(BENCHMARKS.glob("*.yaml")))
    if "file" not in benchmark["settings"]["environment"]
    for task in benchmark["tasks"]
]
"""Those of files of one's own need packages of their own."""


def test_the_papers_benchmarks_have_45_tasks():
    counts = {family: len({task for other, task in TASKS if other == family}) for family, _ in TASKS}
    assert (counts["atari"], counts["dmc"], counts["craftax"]) == (26, 18, 1)


@pytest.mark.parametrize(("family", "task"), TASKS, ids=[task for _, task in TASKS])
def test_every_configured_task_runs(family, task, make, assert_matches_spec):
    environment = make(family, task)
    assert_matches_spec(environment, 8)
    environment.close()


@pytest.mark.parametrize(
    ("family", "given", "nearest"),
    [
        ("atari", "Breakoot", "Breakout"),
        ("dmc", "walker-wlak", "walker-walk"),
        ("craftax", "Craftax-Symbolic", "Craftax-Symbolic-v1"),
        ("gymnasium", "CartPol-v1", "CartPole-v1"),
        ("toy", "imag", "image"),
    ],
)
def test_unknown_task_names_the_nearest(family, given, nearest, make):
    with pytest.raises(UserError, match=f"{given}.*did you mean '{nearest}'"):
        make(family, given)


def test_games_for_two_players_are_no_tasks(make):
    with pytest.raises(UserError, match="Warlords"):
        make("atari", "Warlords")


def test_missing_simulator_says_what_to_install(make, monkeypatch):
    monkeypatch.delitem(sys.modules, "m3.environments.atari", raising=False)
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match="pip install ale-py"):
        make("atari", "Pong")


def test_importing_environments_imports_no_simulator():
    loaded = _run("import sys, m3.environments; print(*{name.split('.')[0] for name in sys.modules})").stdout.split()
    assert "numpy" in loaded
    assert not SIMULATORS & set(loaded)


def test_toys_need_nothing_but_numpy():
    assert "image" in valid_tasks(ToyEnvironment(family="toy"))
    script = (
        "import sys; from m3.config.simulators import ToyEnvironment; from m3.environments import make_environment;"
        "make_environment(ToyEnvironment(family='toy'), 'image', 'train').reset(0);"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert not (SIMULATORS | {"PIL", "torch"}) & set(_run(script).stdout.split())


def test_control_tasks_leave_stderr_and_surroundings_alone():
    script = (
        "import os; from m3.config.simulators import DmcEnvironment; from m3.environments import make_environment;"
        "make_environment(DmcEnvironment(family='dmc'), 'walker-walk', 'train').reset(0);"
        "print('MUJOCO_GL' in os.environ)"
    )
    result = _run(script)
    assert (result.stdout.strip(), result.stderr) == ("False", "")


def _run(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python without a display."""
    return subprocess.run([sys.executable, "-c", script], env={}, capture_output=True, text=True, check=True)


def test_settings_of_another_family_are_not_mixed_up():
    environment = make_environment(ToyEnvironment(family="toy", image_size=8), "image", "test")
    assert environment.observation_spec.modalities["image"].shape == (3, 8, 8)
