"""The ensemble: who learns from what, and how disagreement is measured."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.nn import functional as F
from torch.testing import assert_close

from m3.tokenizers.base import TokenSpec
from m3.world_model.curiosity import Curiosity

SPECS = {"token": TokenSpec(2, (6,)), "token_2d": TokenSpec(3, (4, 5))}
WIDTH = 8


@pytest.fixture
def curiosity() -> Curiosity:
    torch.manual_seed(0)
    return Curiosity(SPECS, WIDTH)


def random_outputs(*shape: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(*shape, spec.count, WIDTH, generator=generator) for name, spec in SPECS.items()}


def random_tokens(*shape: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        name: torch.stack(
            [torch.randint(v, (*shape, spec.count), generator=generator) for v in spec.vocabularies], dim=-1
        )
        for name, spec in SPECS.items()
    }


def member_logits(curiosity: Curiosity, name: str, outputs: Tensor) -> Tensor:
    """Every member's logits of the same outputs, (4, ..., classes)."""
    flat = outputs.flatten(0, -2)
    return curiosity.heads[name](flat.expand(4, *flat.shape)).unflatten(1, outputs.shape[:-1])


def test_members_differ_and_are_computed_as_if_alone(curiosity: Curiosity) -> None:
    """Each is Linear, LayerNorm, SiLU, Linear with its own parameters."""
    head = curiosity.heads["token"]
    x = torch.randn(4, 5, WIDTH)
    for member in range(4):
        hidden = x[member] @ head.linear1.weight[member] + head.linear1.bias[member]
        hidden = F.layer_norm(hidden, (16,), head.norm_weight[member, 0], head.norm_bias[member, 0])
        expected = F.silu(hidden) @ head.linear2.weight[member] + head.linear2.bias[member]
        assert_close(head(x)[member], expected)
    assert not torch.allclose(*head.linear1.weight[:2])


@pytest.mark.parametrize("quarter", range(4))
def test_a_member_learns_from_its_quarter_of_the_batch_only(curiosity: Curiosity, quarter: int) -> None:
    weights = torch.zeros(8, 3)
    weights[2 * quarter : 2 * quarter + 2] = 1
    curiosity.loss(random_outputs(8, 3), random_tokens(8, 3), weights).backward()
    for name, parameter in curiosity.named_parameters():
        learns = (parameter.grad.flatten(1).abs().sum(1) > 0).tolist()
        assert learns == [member == quarter for member in range(4)], name


@torch.no_grad()
def test_the_loss_is_the_members_cross_entropy_per_token_that_counts(curiosity: Curiosity) -> None:
    outputs, tokens = random_outputs(4, 3), random_tokens(4, 3)
    weights = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]])
    total = torch.zeros(())
    for window, step in weights.nonzero().tolist():
        plain = member_logits(curiosity, "token", outputs["token"])[window, window, step]
        total += F.cross_entropy(plain, tokens["token"][window, step, :, 0], reduction="sum")
        cells = member_logits(curiosity, "token_2d", outputs["token_2d"])[window, window, step]
        for column, logits in enumerate(cells.split((4, 5), dim=-1)):
            total += F.cross_entropy(logits, tokens["token_2d"][window, step, :, column], reduction="sum")
    assert_close(curiosity.loss(outputs, tokens, weights), total / (5 * 6))


def test_equal_members_do_not_disagree(curiosity: Curiosity) -> None:
    with torch.no_grad():
        for parameter in curiosity.parameters():
            parameter.copy_(parameter[:1].clone().expand_as(parameter))
    for disagreement in curiosity.disagreement(random_outputs(4, 3)).values():
        assert_close(disagreement, torch.zeros_like(disagreement), atol=1e-6, rtol=0)


@torch.no_grad()
def test_disagreement_is_the_entropy_of_the_mean_minus_the_mean_entropy_per_column(curiosity: Curiosity) -> None:
    for parameter in curiosity.parameters():
        parameter.mul_(3)  # members far from uniform
    outputs = random_outputs(2, 3)

    def of(logits: Tensor) -> Tensor:
        probabilities = logits.softmax(-1)
        return Categorical(probabilities.mean(0)).entropy() - Categorical(probabilities).entropy().mean(0)

    cells = member_logits(curiosity, "token_2d", outputs["token_2d"])
    expected = {
        "token": of(member_logits(curiosity, "token", outputs["token"])),
        "token_2d": (of(cells[..., :4]) + of(cells[..., 4:])) / 2,
    }
    found = curiosity.disagreement(outputs)
    for name, value in expected.items():
        assert (value > 0.01).any()
        assert_close(found[name], value, atol=1e-6, rtol=1e-4)
    total = expected["token"].mean(-1) + expected["token_2d"].mean(-1)
    assert_close(curiosity.step_disagreement(outputs), total, atol=1e-6, rtol=1e-4)
