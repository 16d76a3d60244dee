"""Verify golden files: compute every quantity with our code, and compare."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from m3.agent.returns import lambda_returns
from m3.errors import UserError
from m3.nn.distributions import HLGaussHead
from m3.nn.scaling import ReturnRange
from m3.reference.golden_agent import agent_quantities
from m3.reference.golden_attention import attention_quantities
from m3.reference.golden_file import Comparison, GoldenFile, compare
from m3.reference.golden_steps import repeated_step_comparisons
from m3.reference.golden_tokenizer import fsq_quantities
from m3.reference.golden_training import training_comparisons
from m3.tokenizers.discrete import quantizer_values


def verify_file(path: Path, device: torch.device = torch.device("cpu")) -> list[Comparison]:  # noqa: B008 (immutable)
    """Compute every quantity of a golden file with our code, on a device, and compare.

    Raises:
        UserError: the file is not a golden file.
    """
    golden = GoldenFile(path, device)
    try:
        if "world_model_step/gradient_norm" in golden:
            return list(training_comparisons(golden))
        quantities = agent_quantities(golden) if "config" in golden else _function_quantities(golden)
        forward = [compare(name, ours, golden[name]) for name, ours in quantities]
        return [*forward, *repeated_step_comparisons(golden)]
    except KeyError as error:
        raise UserError(f"{path} is not a golden file: it has no {error}") from error


def _function_quantities(golden: GoldenFile) -> Iterable[tuple[str, Tensor]]:
    """Compute the values of a file of functions, M3's or Simulus-A's."""
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
    head = HLGaussHead(weight.shape[1], 15.0, golden.tensor("hl_gauss/bias").cpu()).to(golden.device)
    head.linear.weight.data = weight
    targets, logits = golden.tensor("hl_gauss/targets"), head(golden.tensor("hl_gauss/inputs"))
    yield "hl_gauss/target_probs", head.target_probabilities(targets)
    yield "hl_gauss/means", head.mean(logits)
    yield "hl_gauss/loss", head.loss(logits, targets)

    batches = golden.tensor("return_scaler/inputs")
    history = ReturnRange(batches[0].numel()).to(golden.device)
    ranges = []
    for batch in batches:
        history.update(batch)
        ranges.append(history.range())
    yield "return_scaler/scales", torch.stack(ranges)
    yield "vector_quantizer/support", quantizer_values()
