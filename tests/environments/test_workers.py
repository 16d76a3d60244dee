"""Environments in worker processes: the same bits as in one, and nothing left of them whatever ends them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import decisive_agent

from m3.config.simulators import GymnasiumEnvironment, ToyEnvironment
from m3.environments import VectorEnvironment, make_environments
from m3.environments.workers import WorkerEnvironments
from m3.errors import UserError
from m3.runs.progress import finish
from m3.training.evaluator import play_episodes

TOY = ToyEnvironment(family="toy")
FRAGILE = """
import os, time
import gymnasium, numpy as np
from gymnasium import spaces

class Fragile(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if action == 1:
            raise ZeroDivisionError("unstable")
        if action == 2:
            os._exit(7)
        while action == 3:
            time.sleep(1)
        return np.zeros(2, np.float32), float(os.getpid()), False, False, {}

gymnasium.register("Fragile-v0", Fragile)
"""


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerEnvironments]:
    with make_environments(TOY, "terminating", "test", 5, workers=2) as environments:
        assert isinstance(environments, WorkerEnvironments)
        yield environments


def test_workers_step_the_same_environments_as_one_process(workers: VectorEnvironment) -> None:
    with make_environments(TOY, "terminating", "test", 5) as serial:
        assert (workers.observation_spec, workers.action_spec, len(workers)) == (
            serial.observation_spec,
            serial.action_spec,
            len(serial),
        )
        seeds = [3, None, 7, 2**62, 5]
        for indices in ([0, 1, 2, 3, 4], [4, 1, 2], [3], [0, 4]):
            observations = [each.reset(indices, [seeds[index] or 1 for index in indices]) for each in (workers, serial)]
            actions = np.arange(len(indices))[:, None] % 4
            one, other = (each.step(indices, actions) for each in (workers, serial))
            for first, second in (observations, (one.observation, other.observation)):
                np.testing.assert_equal(first, second)
            np.testing.assert_equal(one[1:], other[1:])
            assert [array.dtype for array in one[1:]] == [array.dtype for array in other[1:]]


def test_scores_do_not_depend_on_the_number_of_workers(workers: VectorEnvironment) -> None:
    agent = decisive_agent("terminating")
    with make_environments(TOY, "terminating", "test", 5) as serial:
        first, second = (
            finish(play_episodes(agent, environments, 13, 1e6, 0, torch.device("cpu")), "evaluate", 13)
            for environments in (serial, workers)
        )
    np.testing.assert_array_equal(first.returns, second.returns)
    np.testing.assert_array_equal(first.lengths, second.lengths)
    assert len(set(first.returns)) > 2


def test_indices_seeds_and_actions_must_match(workers: VectorEnvironment) -> None:
    with pytest.raises(IndexError):
        workers.reset([0, 1], [1])
    with pytest.raises(IndexError):
        workers.step([0, 1], np.zeros((1, 1), np.int64))


def test_what_goes_wrong_in_a_worker_names_the_environment(tmp_path: Path) -> None:
    (tmp_path / "fragile_environment.py").write_text(FRAGILE)
    settings = GymnasiumEnvironment(family="gymnasium", file=str(tmp_path / "fragile_environment.py"))
    with make_environments(settings, "Fragile-v0", "test", 2, workers=2) as fragile:
        fragile.reset([0, 1], [0, 1])
        assert len({os.getpid(), *fragile.step([0, 1], np.array([[0], [0]])).rewards}) == 3
        with pytest.raises(
            UserError,
            match=r"^Fragile-v0 fails in a step: ZeroDivisionError: unstable \(fragile_environment.py, line \d+\)$",
        ):
            fragile.step([0, 1], np.array([[0], [1]]))
        with pytest.raises(UserError, match=r"a worker process of environment 'Fragile-v0' ended with status 7"):
            fragile.step([0], np.array([[2]]))


def test_a_users_mistake_reads_as_in_one_process() -> None:
    messages = []
    for workers in (1, 2):
        with pytest.raises(UserError) as found:
            make_environments(TOY, "terminatin", "test", 2, workers)
        messages.append(str(found.value))
    assert messages[0] == messages[1]
    assert "terminating" in messages[0]


def test_workers_end_with_a_process_that_is_killed_while_they_step(tmp_path: Path) -> None:
    (tmp_path / "fragile_environment.py").write_text(FRAGILE)
    (tmp_path / "main.py").write_text(
        "import numpy as np\nfrom m3.config.simulators import GymnasiumEnvironment\n"
        "from m3.environments import make_environments\n"
        "if __name__ == '__main__':\n"
        "    settings = GymnasiumEnvironment(family='gymnasium', file='fragile_environment.py')\n"
        "    environments = make_environments(settings, 'Fragile-v0', 'test', 2, 2)\n"
        "    environments.reset([0, 1], [0, 1])\n"
        "    print(*environments.step([0, 1], np.array([[0], [0]])).rewards.astype(int), flush=True)\n"
        "    environments.step([0], np.array([[3]]))\n"
    )
    search = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "main.py"], cwd=tmp_path, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": search}
    ) as main:
        assert main.stdout is not None
        pids = [int(word) for word in main.stdout.readline().split()]
        assert len(pids) == 2
        for pid in pids:
            os.kill(pid, signal.SIGTERM)  # as a cluster sends it to all processes: theirs is to wait
        time.sleep(0.2)
        assert main.poll() is None
        assert all(map(is_alive, pids))
        main.kill()
    deadline = time.monotonic() + 20
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
