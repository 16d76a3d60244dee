"""What a block is made of."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from toy_runs import random_steps, toy_agent

from m3.nn.actions import to_bins
from m3.specs import ContinuousActions, DiscreteActions
from m3.world_model.embedding import ProjectedActionEmbedding, QuantisedActionEmbedding, action_embedding


def test_a_block_is_the_modalities_in_order_and_then_the_action() -> None:
    """Changing one token moves its own place of the block only."""
    agent = toy_agent("all_modalities")
    tokens, actions = random_steps(agent, 1, 1)

    def embed(tokens: dict[str, Tensor], actions: Tensor) -> Tensor:
        return agent.world_model.embed(tokens, actions, agent.tokenizer.codebooks)[0, 0]

    before = embed(tokens, actions)
    assert before.shape == (16 + 3 + 2 + 4 + 1, 16)
    for name, token, place in (("image", 5, 5), ("vector", 0, 16), ("token", 1, 20), ("token_2d", 3, 24)):
        changed = {n: t.clone() for n, t in tokens.items()}
        changed[name][0, 0, token, 0] = 1 - changed[name][0, 0, token, 0].clamp(max=1)
        assert moved(before, embed(changed, actions)) == [place]
    assert moved(before, embed(tokens, (actions + 1) % 4)) == [25]


def moved(before: Tensor, after: Tensor) -> list[int]:
    return (before != after).any(-1).nonzero().flatten().tolist()


@pytest.mark.parametrize("code_size", [8, 16], ids=["projected", "as wide as the model"])
def test_image_tokens_enter_as_their_codes_without_gradient(code_size: int) -> None:
    agent = toy_agent("image", tokenizer={"code_size": code_size})
    tokens, actions = random_steps(agent, 2, 3)
    table = agent.world_model.observation_embedding.tables["image"]
    codes = agent.tokenizer.codebooks["image"][tokens["image"][..., 0]]
    blocks = agent.world_model.embed(tokens, actions, agent.tokenizer.codebooks)
    assert_close(blocks[:, :, :16], table.projection(codes))
    assert isinstance(table.projection, torch.nn.Identity) == (code_size == 16)
    blocks.sum().backward()
    assert all(parameter.grad is None for parameter in agent.tokenizer.parameters())


def test_image_tokens_have_a_table_of_their_own_where_embeddings_are_not_shared() -> None:
    agent = toy_agent("image", world_model={"shared_embeddings": False})
    tokens, actions = random_steps(agent, 2, 3)
    codebooks = agent.tokenizer.codebooks
    blocks = agent.world_model.embed(tokens, actions, codebooks)
    assert_close(agent.world_model.embed(tokens, actions, {n: c + 1 for n, c in codebooks.items()}), blocks)
    first = tokens["image"][0, 0, :, 0]
    same = first[:, None] == first
    assert torch.equal((blocks[0, 0, :16, None] == blocks[0, 0, None, :16]).all(-1), same)


def test_a_cell_is_the_mean_of_its_columns() -> None:
    agent = toy_agent("mixed")
    tokens, actions = random_steps(agent, 1, 1)
    first, second = (t.weight for t in agent.world_model.observation_embedding.tables["token_2d"].tables)
    cells = tokens["token_2d"][0, 0]
    blocks = agent.world_model.embed(tokens, actions, {})
    assert_close(blocks[0, 0, 5:9], (first[cells[:, 0]] + second[cells[:, 1]]) / 2)


def test_every_discrete_dimension_has_its_table() -> None:
    embedding = action_embedding(DiscreteActions((4, 3)), 8, "tokens")
    one, other = embedding(torch.tensor([[2, 2], [2, 1]]))
    assert one.shape == (2, 8)
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    assert not torch.equal(one[0], one[1])


def test_continuous_dimensions_share_the_table_of_51_values() -> None:
    embedding = action_embedding(ContinuousActions(3), 8, "tokens")
    assert isinstance(embedding, QuantisedActionEmbedding)
    actions = torch.tensor([[0.51, -0.3, 0.507]])
    assert_close(embedding(actions)[0], embedding.table.weight[to_bins(actions[0])])
    assert embedding.table.weight.shape == (51, 8)
    assert torch.equal(*embedding(actions)[0, [0, 2]])


def test_projected_actions_are_one_token() -> None:
    embedding = action_embedding(ContinuousActions(3), 8, "projection")
    assert isinstance(embedding, ProjectedActionEmbedding)
    actions = torch.tensor([[0.5, -0.3, 0.1]])
    assert embedding(actions).shape == (1, 1, 8)
    assert_close(embedding(actions)[:, 0], embedding.projection(actions))
