"""Random streams, and names of devices."""

import numpy as np
import pytest
import torch

from m3.errors import UserError
from m3.seeding import derive, randomness
from m3.training.devices import select_device

CPU = torch.device("cpu")


def test_streams_follow_from_seed_and_purpose_alone() -> None:
    def draw(seed: int, *purpose: str | int) -> tuple[float, float]:
        random = randomness(CPU, seed, *purpose)
        return random.numpy.random(), torch.rand((), generator=random.torch).item()

    first = draw(0, "collect", 1)
    np.random.default_rng(0).random()
    torch.manual_seed(5)
    assert draw(0, "collect", 1) == first
    others = {first, draw(1, "collect", 1), draw(0, "collect", 2), draw(0, "evaluate", 1), draw(0, "collect", "1")}
    assert len(others) == 5


def test_derived_seeds_are_the_same_in_every_version() -> None:
    """A change here changes every run."""
    assert derive(0) == 5254295370254170289
    assert derive(3, "collect", 7) == 5631782743975590516
    assert all(0 <= derive(seed, "x") < 2**63 for seed in range(100))


def test_devices_are_chosen_by_name() -> None:
    assert select_device("cpu") == CPU
    assert select_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps", "meta", "", "cpu:x"])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="device"):
        select_device(name)


def test_mps_is_accepted_where_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert select_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="'mps' is not available"):
        select_device("mps")
