"""Whether a device computes what it should: the authors' values, the same bits after a restart and from a graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from m3.bench.report.records import LeftOut
from m3.bench.timing import COMPONENTS, Bench
from m3.checks.differences import differences
from m3.config.schema import RunSettings
from m3.reference.golden import verify_file
from m3.seeding import randomness

_STEPS = 6
"""Of each component; a graph is captured in the fourth."""


def golden_values(folder: Path, device: torch.device) -> dict[str, Any]:
    """Compare every quantity of the golden files, values and training steps, as the device computes them.

    Raises:
        LeftOut: the files are not here.
    """
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise LeftOut(
            f"no golden files in {folder}: they come with the repository, where the report wants to be called"
        )
    found = [(path, comparison) for path in files for comparison in verify_file(path, device)]
    missed = [
        f"{path.stem}: {comparison.quantity} is off by {comparison.difference:.1e} (<= {comparison.tolerance:.0e})"
        for path, comparison in found
        if not comparison.met
    ]
    return {"quantities": len(found), "missed": missed}


def restart_differences(settings: RunSettings, device: torch.device, stored_steps: int) -> list[str]:
    """Name what differs between training steps without and with a restart in their middle."""
    with _deterministic():
        whole = _trained(settings, device, stored_steps)
        return list(differences(whole, _trained(settings, device, stored_steps, restart=True)))


def graph_differences(settings: RunSettings, device: torch.device, stored_steps: int) -> list[str]:
    """Name what differs between training steps as they are and replayed from CUDA graphs."""
    with _deterministic():
        eager = _trained(settings, device, stored_steps)
        return list(differences(eager, _trained(settings, device, stored_steps, graphs=True)))


def _trained(
    settings: RunSettings, device: torch.device, stored_steps: int, graphs: bool = False, restart: bool = False
) -> dict[str, Any]:
    """All of a trainer's state after some steps of each component on the same experience."""
    trainer = Bench(settings, device, stored_steps, graphs).trainer
    for step in range(_STEPS):
        if restart and step == _STEPS // 2:
            state = trainer.state_dict()
            trainer = Bench(settings, device, stored_steps, graphs).trainer
            trainer.load_state_dict(state)
        trainer.tokens.forget()  # as an epoch does, before the tokenizer trains
        for name in COMPONENTS:
            if name not in trainer.components:
                continue
            component = trainer.components[name]
            component.module.train()
            torch.manual_seed(step)  # of dropout
            component.step(randomness(device, 0, name, step), settings.epochs)
            component.module.eval()
    return trainer.state_dict()


@contextmanager
def _deterministic() -> Iterator[None]:
    """A context in which the same computation gives the same bits."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
