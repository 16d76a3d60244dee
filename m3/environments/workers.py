"""Environments side by side in processes of their own."""

import atexit
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread
from traceback import format_exc
from typing import Any

import numpy as np

from m3.config.simulators import EnvironmentSettings
from m3.environments import make_environments
from m3.environments.base import Mode
from m3.environments.vector import VectorEnvironment, VectorStep
from m3.errors import UserError
from m3.specs import Observation

_logger = logging.getLogger(__name__)

_GOODBYE_SECONDS = 5.0
"""For a worker to close its environments; then it is killed."""


@dataclass(frozen=True)
class _Failure:
    """An exception in a worker, in one line, and its traceback unless it is a user's mistake."""

    message: str
    traceback: str = ""


class WorkerEnvironments(VectorEnvironment):
    """Environments in worker processes, which step at the same time. They compute the same bits as in one process.

    Environment i belongs to worker i modulo the number of workers. A worker ends when its connection closes, also where
    the process that started it was killed. (Gymnasium's AsyncVectorEnv does not fit: it steps all of its environments
    every time, and has its own spaces and resets.)

    Raises:
        UserError: an environment cannot be made, or fails in its worker; the message names the task.
    """

    def __init__(self, settings: EnvironmentSettings, task: str, mode: Mode, count: int, workers: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []
        self._open = ExitStack()
        atexit.register(self.close)  # or the interpreter would wait for workers that wait for it
        try:
            for first in range(workers):
                worker = _Worker(settings, task, mode, len(range(first, count, workers)))
                self._open.callback(worker.close)
                self._workers.append(worker)
            specs = [worker.receive() for worker in self._workers]
            self.observation_spec, self.action_spec, self.frames_per_step = specs[0]
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._count

    def reset(self, indices: Sequence[int], seeds: Sequence[int | None]) -> Observation:
        order, parts = self._call("reset", indices, lambda rows: [seeds[row] for row in rows])
        return _join(parts, order)

    def step(self, indices: Sequence[int], actions: np.ndarray) -> VectorStep:
        order, parts = self._call("step", indices, lambda rows: actions[rows])
        observation = _join([part.observation for part in parts], order)
        return VectorStep(
            observation, *(np.concatenate(arrays)[order] for arrays in list(zip(*parts, strict=True))[1:])
        )

    def close(self) -> None:
        atexit.unregister(self.close)
        self._open.close()

    def _call(
        self, method: str, indices: Sequence[int], arguments: Callable[[list[int]], Any]
    ) -> tuple[np.ndarray, list[Any]]:
        """Call a method of all workers that own one of the environments, at once.

        Args:
            method: its name.
            indices: the environments.
            arguments: the row numbers of a worker's environments -> what to call it with, beside its indices.

        Returns:
            The order that the rows of all answers together are to be put into, and the answers.
        """
        called, order = [], []
        for number, worker in enumerate(self._workers):
            rows = [row for row, index in enumerate(indices) if index % len(self._workers) == number]
            if rows:
                worker.send(method, [indices[row] // len(self._workers) for row in rows], arguments(rows))
                called.append(worker)
                order += rows
        return np.argsort(order), [worker.receive() for worker in called]


class _Worker:
    """A process that steps environments, seen from the process that started it."""

    def __init__(self, settings: EnvironmentSettings, task: str, mode: Mode, count: int) -> None:
        self._task = task
        context = get_context("spawn")  # forking is not safe beside the threads of torch and JAX
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, settings, task, mode, count))
        self._process.start()
        other.close()  # from now on only the worker has this end, so that we notice when it dies

    def send(self, *message: Any) -> None:
        with suppress(OSError):  # it has died, and receiving tells how
            self._connection.send(message)

    def receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_GOODBYE_SECONDS)
            status = self._process.exitcode
            raise UserError(f"a worker process of environment {self._task!r} ended with status {status}") from None
        if not isinstance(answer, _Failure):
            return answer
        if answer.traceback:
            _logger.error("the error in full:\n%s", answer.traceback)
        raise UserError(answer.message)

    def close(self) -> None:
        self._connection.close()
        self._process.join(_GOODBYE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, settings: EnvironmentSettings, task: str, mode: Mode, count: int) -> None:
    """Do what a worker does: make environments, and call their methods until the connection closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that started this one gets them too, and decides
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        with make_environments(settings, task, mode, count) as environments:
            answer: Any = (environments.observation_spec, environments.action_spec, environments.frames_per_step)
            while _tell(connection, answer) and (call := _ask(connection)) is not None:
                method, *arguments = call
                answer = getattr(environments, method)(*arguments)
    except UserError as error:
        _tell(connection, _Failure(str(error)))
    except Exception as error:  # whatever a simulator raises
        _tell(connection, _Failure(f"environment {task!r} fails: {type(error).__name__}: {error}", format_exc()))


def _tell(connection: Connection, answer: Any) -> bool:
    """Return whether there is still somebody to tell."""
    try:
        connection.send(answer)
    except OSError:
        return False
    return True


def _ask(connection: Connection) -> Any:
    """Return the next call, or none where there will be no more."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _end_with_parent() -> None:
    """End this process, even in the middle of a step, when the one that started it is gone."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _join(parts: list[Observation], order: np.ndarray) -> Observation:
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
