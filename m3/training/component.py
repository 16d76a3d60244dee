"""One separately trained part of the agent, and the loop that trains any of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from m3.config.schema import Optimizer, Precision, Schedule
from m3.errors import DivergedError
from m3.nn.heads import EnsembleLinear
from m3.nn.host import download
from m3.nn.precision import autocast, tf32_products
from m3.seeding import Randomness
from m3.training.capture import Captured
from m3.training.schedule import learning_rate
from m3.training.state import to_arrays, to_tensors

_DECAYED = (nn.Linear, nn.Conv2d, EnsembleLinear)


def decay_matrices_only(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Group parameters so that the weights of linear layers and convolutions decay, not biases, norms or embeddings."""
    decayed = {id(m.weight) for m in module.modules() if isinstance(m, _DECAYED)}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in module.parameters():
        groups[id(parameter) in decayed].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


Form = frozenset[str]
"""Which parts of a step rest; within a form, steps are always the same operations."""
WHOLE: Form = frozenset()
"""Nothing rests."""


class Drawn(NamedTuple):
    """A batch, and who is told the loss of each of its windows.

    ``batch`` is a tensor, or tuples and mappings of tensors, of the same shapes in every step. ``read_back`` is called
    when all work of the step is queued, as reading makes the host wait for the device.
    """

    batch: Any
    read_back: Callable[[np.ndarray], None] | None = None


class Computed(NamedTuple):
    """What a step computes on the device: its loss, scalars to report, and the loss of each window (B,) where asked."""

    loss: Tensor
    scalars: Mapping[str, Tensor]
    per_window: Tensor | None = None


class Component(ABC):
    """A module, its optimiser, and how to compute its loss on a batch of its own choice.

    Args:
        name: of its metrics, such as "world_model".
        module: what is trained; in evaluation mode whenever it is not.
        schedule: when it trains, how many steps, on how large batches.
        optimizer: AdamW's settings.
        precision: of the products in its steps.
        device: where the module is.
        decay_all: whether all parameters decay, or matrices and convolutions only.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        schedule: Schedule,
        optimizer: Optimizer,
        precision: Precision,
        device: torch.device,
        decay_all: bool = True,
    ) -> None:
        self.name = name
        self.module = module
        self.schedule = schedule
        self._precision = precision
        self._device = device
        self._optimizer_settings = optimizer
        decay = optimizer.weight_decay
        groups = module.parameters() if decay_all else decay_matrices_only(module, decay)
        self._optimizer = torch.optim.AdamW(
            groups, lr=optimizer.learning_rate, weight_decay=decay, fused=True, capturable=device.type == "cuda"
        )
        self._captured: dict[Form, Captured] | None = None

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        return self._device

    def capture(self) -> None:
        """Capture what steps do on the device and replay it: the same results, without the host's part of the time."""
        self._captured = {}

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the learning rate of an epoch, counted from 1, of a run of ``epochs``."""
        rate = learning_rate(self._optimizer_settings, epoch, epochs)
        groups = self._optimizer.param_groups
        if all(group["lr"] == rate for group in groups):
            return
        for group in groups:
            group["lr"] = rate
        if self._captured is not None:
            self.capture()  # anew, as what was captured has the old rate in it

    @abstractmethod
    def ready(self) -> bool:
        """Return whether the replay holds enough for a batch."""

    def form(self, epoch: int) -> Form:
        """Which parts of its steps rest in an epoch."""
        return WHOLE

    @abstractmethod
    def draw(self, random: Randomness) -> Drawn:
        """Choose a batch and bring it to the device, with all random numbers but those of dropout."""

    @abstractmethod
    def compute(self, batch: Any, form: Form) -> Computed:
        """Compute the loss of a batch: operations on tensors only, without a look at their values."""

    def train(self, random: Randomness, epoch: int) -> Generator[None, None, dict[str, float]]:
        """Train for an epoch's steps, yielding after each; returns the means of what was measured.

        Dropout draws from torch's global generator, which is seeded here from ``random``.

        Raises:
            DivergedError: a loss is not finite.
        """
        torch.manual_seed(int(random.numpy.integers(2**63)))
        self.module.train()
        totals, names = torch.zeros((), device=self._device), []
        try:
            for _ in range(self.schedule.steps_per_epoch):
                scalars = self.step(random, epoch)
                totals, names = totals + torch.stack([value.float() for value in scalars.values()]), list(scalars)
                yield
        finally:
            self.module.eval()
        return self._means(names, totals, epoch)

    def step(self, random: Randomness, epoch: int) -> dict[str, Tensor]:
        """Take one step of the optimiser; return scalars to report.

        Raises:
            DivergedError: the loss of a window is not finite.
        """
        drawn = self.draw(random)
        scalars, per_window = self._updater(self.form(epoch))(drawn.batch)
        if drawn.read_back is not None and per_window is not None:
            losses = download(per_window)
            if not np.isfinite(losses).all():
                raise DivergedError(f"the {self.name} diverged in epoch {epoch}: the loss of a window is not finite")
            drawn.read_back(losses)
        return scalars

    def _updater(self, form: Form) -> Callable[[Any], tuple[dict[str, Tensor], Tensor | None]]:
        update = partial(self._update, form=form)
        if self._captured is None:
            return update
        return self._captured.setdefault(form, Captured(update, self._device))

    def _update(self, batch: Any, form: Form) -> tuple[dict[str, Tensor], Tensor | None]:
        """Compute all of a step that happens on the device: scalars to report and the loss of each window."""
        with tf32_products(self._precision):
            with autocast(self._precision, self._device):
                computed = self.compute(batch, form)
            self._optimizer.zero_grad(set_to_none=True)
            computed.loss.backward()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self._optimizer_settings.max_gradient_norm)
        self._optimizer.step()
        scalars = {**computed.scalars, "loss": computed.loss, "gradient_norm": norm}
        return {name: value.detach() for name, value in scalars.items()}, computed.per_window

    def _means(self, names: Sequence[str], totals: Tensor, epoch: int) -> dict[str, float]:
        means = download(totals / self.schedule.steps_per_epoch).tolist()
        metrics = {f"{self.name}/{key}": mean for key, mean in zip(names, means, strict=True)}
        if not all(map(math.isfinite, means)):
            wrong = ", ".join(f"{key} is {mean}" for key, mean in metrics.items() if not math.isfinite(mean))
            raise DivergedError(f"the {self.name} diverged in epoch {epoch}: {wrong}")
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Return all but the module's parameters."""
        return {"optimizer": to_arrays(self._optimizer.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly."""
        self._optimizer.load_state_dict(to_tensors(state["optimizer"]))
        if self._captured is not None:
            self.capture()  # anew, as the optimiser's state is now in other places
