"""Golden files: values that the authors' code computes, and how far ours are from them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from m3.agent.returns import lambda_returns
from m3.errors import UserError
from m3.nn.distributions import HLGaussHead
from m3.nn.scaling import ReturnRange
from m3.tokenizers.discrete import quantizer_values

VALUE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-5


class GoldenFile(Mapping[str, np.ndarray]):
    """The arrays of a golden file by name; remembers which ones were looked at.

    Raises:
        UserError: the file is not a golden file.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise UserError(f"{path} is not a golden file: {error}") from error
        self.unread = set(self._arrays)
        """Names that nobody has asked for yet."""

    def __getitem__(self, name: str) -> np.ndarray:
        value = self._arrays[name]
        self.unread.discard(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def tensor(self, name: str) -> Tensor:
        """Read one array as a tensor."""
        return torch.tensor(self[name])

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Read all arrays whose names start with ``prefix``, by the rest of their names."""
        return {name.removeprefix(prefix): self.tensor(name) for name in self if name.startswith(prefix)}


class Comparison(NamedTuple):
    """One quantity: its largest difference (absolute or relative) and what is tolerated."""

    quantity: str
    difference: float
    tolerance: float

    @property
    def met(self) -> bool:
        """Whether the difference is small enough; one that is not a number never is."""
        return self.difference <= self.tolerance


def verify_file(path: Path) -> list[Comparison]:
    """Compute every quantity of a golden file with our code and compare.

    Raises:
        UserError: the file is not a golden file.
    """
    from m3.reference.golden_agent import agent_quantities
    from m3.reference.golden_steps import repeated_step_comparisons
    from m3.reference.golden_training import training_comparisons

    golden = GoldenFile(path)
    try:
        if "world_model_step/gradient_norm" in golden:
            return list(training_comparisons(golden))
        quantities = agent_quantities(golden) if "config" in golden else _function_quantities(golden)
        forward = [compare(name, ours, golden[name]) for name, ours in quantities]
        return [*forward, *repeated_step_comparisons(golden)]
    except KeyError as error:
        raise UserError(f"{path} is not a golden file: it has no {error}") from error


def compare(name: str, ours: Tensor, golden: np.ndarray) -> Comparison:
    """Hold losses to 1e-5 of the largest of them, everything else to an absolute 1e-4."""
    if "loss" in name.rpartition("/")[2]:
        return compare_relative(name, ours, golden)
    return compare_absolute(name, ours, golden, VALUE_TOLERANCE)


def compare_relative(name: str, ours: Tensor, golden: np.ndarray, tolerance: float = RELATIVE_TOLERANCE) -> Comparison:
    """Hold a quantity to a share of its largest golden value."""
    largest = float(np.abs(golden).max(initial=0)) or 1.0
    return compare_absolute(name, ours / largest, golden / largest, tolerance)


def compare_absolute(name: str, ours: Tensor, golden: np.ndarray, tolerance: float) -> Comparison:
    """Hold the largest absolute difference to ``tolerance``; another shape is never met."""
    value = ours.detach().numpy()
    if value.shape != golden.shape:
        return Comparison(f"{name} (shape {value.shape}, not {golden.shape})", float("inf"), 0.0)
    difference = np.abs(value.astype(np.float64) - golden.astype(np.float64))
    return Comparison(name, float(difference.max(initial=0)), tolerance)


def _function_quantities(golden: GoldenFile) -> Iterable[tuple[str, Tensor]]:
    """Compute the values of a file of functions, M3's or Simulus-A's."""
    from m3.reference.golden_attention import attention_quantities
    from m3.reference.golden_tokenizer import fsq_quantities

    if any(name.startswith(("fsq/", "rope/", "mask/")) for name in golden):
        yield from fsq_quantities(golden)
        yield from attention_quantities(golden)
    else:
        yield from _m3_function_quantities(golden)


def _m3_function_quantities(golden: GoldenFile) -> Iterable[tuple[str, Tensor]]:
    rewards, values, terminations = (golden.tensor(f"lambda_returns/{name}") for name in ("rewards", "values", "ends"))
    for name, (discount, lambda_) in zip("ab", golden["lambda_returns/gamma_lambda"], strict=True):
        returns = lambda_returns(rewards[:, :-1], values, terminations[:, :-1], float(discount), float(lambda_))
        yield f"lambda_returns/{name}", returns

    weight = golden.tensor("hl_gauss/weight")
    head = HLGaussHead(weight.shape[1], 15.0, golden.tensor("hl_gauss/bias"))
    head.linear.weight.data = weight
    targets, logits = golden.tensor("hl_gauss/targets"), head(golden.tensor("hl_gauss/inputs"))
    yield "hl_gauss/target_probs", head.target_probabilities(targets)
    yield "hl_gauss/means", head.mean(logits)
    yield "hl_gauss/loss", head.loss(logits, targets)

    batches = golden.tensor("return_scaler/inputs")
    history = ReturnRange(batches[0].numel())
    ranges = []
    for batch in batches:
        history.update(batch)
        ranges.append(history.range())
    yield "return_scaler/scales", torch.stack(ranges)
    yield "vector_quantizer/support", quantizer_values()
