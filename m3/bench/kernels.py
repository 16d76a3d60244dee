"""Count how many kernels a step starts on a GPU, without needing one.

An operation that is not a view counts as one kernel, as torch dispatches it: some start several (sorting, gradients of
layer norms and embeddings), none starts fewer. The count does not depend on the batch, other than by how many chunks of
frames are encoded.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import m3.agent.actor_critic
import m3.agent.behavior
import m3.training.components
import m3.training.replay_tokens
import m3.world_model.imagination
from m3.bench.fake.device import CUDA, fake_cuda
from m3.bench.memory import LiveMemory
from m3.bench.timing import Bench
from m3.config.schema import RunSettings

_PHASES: tuple[tuple[Any, str, str], ...] = (
    (m3.training.replay_tokens.ReplayTokens, "_encode", "encode frames"),
    (m3.training.replay_tokens.ReplayTokens, "windows", "batch"),
    (m3.training.components, "start_imagination", "burn-in"),
    (m3.agent.behavior, "act_in_imagination", "imagination: policy"),
    (m3.world_model.imagination.Imagination, "advance", "imagination: world model"),
    (m3.world_model.imagination.Imagination, "read", "imagination: outcomes"),
    (m3.agent.actor_critic.ActorCritic, "unroll", "actor and critic"),
    (m3.training.components, "behavior_losses", "losses"),
    (m3.training.components, "world_model_losses", "forward and losses"),
    (Tensor, "backward", "backward"),
    (nn.utils, "clip_grad_norm_", "clipping"),
    (torch.optim.AdamW, "step", "optimiser"),
)
"""Functions, and what their part of a step is called; the innermost counts, the rest is "other"."""

_NO_KERNEL = ("empty", "new_empty", "empty_like", "empty_strided", "detach", "_unsafe_view", "lift_fresh", "alias")


@dataclass(frozen=True)
class KernelCount:
    """Kernels of one step of a part, by phase; the bytes it uploads; and where it waits for the device.

    ``peak_bytes`` is the most that the device holds during the step, weights and optimisers included.
    """

    part: str
    kernels: dict[str, int]
    uploaded_bytes: int
    host_reads: list[str]
    peak_bytes: int

    @property
    def total(self) -> int:
        return sum(self.kernels.values())


class KernelCounter(TorchDispatchMode):
    """Counts kernels on the fake device by phase and by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = "other"
        self.phases: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        if not _is_view(func) and any(isinstance(leaf, Tensor) and leaf.is_cuda for leaf in leaves):
            self.phases[self.phase] += 1
            self.operations[str(func)] += 1
        return result

    @contextmanager
    def by_phase(self) -> Iterator[None]:
        """Open a context in which the known functions are phases."""
        with ExitStack() as stack:
            for target, name, phase in _PHASES:
                stack.enter_context(mock.patch.object(target, name, self._counted(getattr(target, name), phase)))
            yield

    def _counted(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            before, self.phase = self.phase, phase
            try:
                return function(*args, **kwargs)
            finally:
                self.phase = before

        return counted


def _is_view(func: Any) -> bool:
    if func.namespace not in ("aten", "m3_fake") or func._schema.name.partition("::")[2] in _NO_KERNEL:
        return True
    returned = func._schema.returns
    return any(value.alias_info is not None and not value.alias_info.is_write for value in returned)


def count_kernels(
    settings: RunSettings, parts: list[str], stored_steps: int, recompute: bool = False
) -> list[KernelCount]:
    """Count the kernels of a step of each part, after a first step that does not count."""
    counts = []
    with fake_cuda() as traffic, LiveMemory() as memory:
        bench = Bench(settings, CUDA, stored_steps, recompute=recompute)
        for part in parts:
            work = bench.work(part)
            next(work)
            traffic.clear()
            memory.peak = memory.live
            counter = KernelCounter()
            with counter.by_phase(), counter:
                next(work)
            uploaded = sum(size for _, size in traffic.uploads)
            counts.append(KernelCount(part, dict(counter.phases), uploaded, traffic.downloads.copy(), memory.peak))
            work.close()
    return counts
