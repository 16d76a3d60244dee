"""Rename weights of the reference implementation to our names."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.world_model.curiosity import MEMBERS
from m3.world_model.embedding import QuantisedActionEmbedding
from m3.world_model.sequence import Attention

REFERENCE_CODE_SIZE = 256
"""Width of the reference's image codes, which it assumes also where there are no images."""

LEVELS = "tokenizer.tokenizers.image.fsq._levels"
"""The levels of FSQ image tokens; a setting here."""

_MODALITY = r"(image|vector|token_2d|token)"


def _trunk_renames(trunk: str) -> list[tuple[str, str]]:
    """List rules for what the actor and, with separate networks, the critic has of its own: encoders, action tables."""
    encoders = rf"actor_critic\.{'' if trunk == 'actor' else 'critic_'}obs_encoders\."
    actions = rf"actor_critic\.{trunk}_actions?_"
    ours = f"actor_critic.{trunk}_trunk."
    of_observations = f"{ours}observation_encoder.encoders."
    return [
        (rf"{encoders}image\.model\.0\.0\.", f"{of_observations}image.0."),
        (rf"{encoders}image\.model\.1\.0\.", f"{of_observations}image.2."),
        (rf"{encoders}{_MODALITY}\.embeddings\.embeddings\.embeddings\.(\d+)\.", rf"{of_observations}\1.0.tables.\2."),
        (rf"{encoders}{_MODALITY}\.embeddings\.", rf"{of_observations}\1.0.tables.0."),
        (rf"{actions}embeddings\.(?:embeddings\.)*(\d+)\.", rf"{ours}action_encoder.encoder.tables.\1."),
        (rf"{actions}embeddings\.", f"{ours}action_encoder.encoder.tables.0."),
        (rf"{actions}projection\.", f"{ours}action_encoder.encoder."),
    ]


_RENAMES: tuple[tuple[str, str], ...] = (
    (r"tokenizer\.tokenizers\.image\.embedding\.", "tokenizer.modalities.image.codes."),
    (r"tokenizer\.tokenizers\.image\.pre_quant_conv\.", "tokenizer.modalities.image.down."),
    (r"tokenizer\.tokenizers\.image\.post_quant_conv\.", "tokenizer.modalities.image.up."),
    (r"tokenizer\.tokenizers\.image\.encoder\.cnn\.1\.(\d+)\.2\.conv\.", r"tokenizer.modalities.image.encoder.1.\1.3."),
    (r"tokenizer\.tokenizers\.image\.decoder\.cnn\.1\.(\d+)\.2\.conv\.", r"tokenizer.modalities.image.decoder.1.\1.2."),
    (r"tokenizer\.tokenizers\.image\.(encoder|decoder)\.cnn\.", r"tokenizer.modalities.image.\1."),
    (r"world_model\.obs_emb_map\.", "world_model.observation_embedding.tables.image.projection."),
    (
        rf"world_model\.obs_embeddings\.{_MODALITY}\.embeddings\.embeddings\.(\d+)\.",
        r"world_model.observation_embedding.tables.\1.tables.\2.",
    ),
    (rf"world_model\.obs_embeddings\.{_MODALITY}\.", r"world_model.observation_embedding.tables.\1.tables.0."),
    (r"world_model\.placeholder_embeddings\.", "world_model.sequence.placeholders."),
    (r"world_model\._model\.pred_tokens", "world_model.sequence.placeholders"),
    (r"world_model\.action_encoder\.action_projection\.", "world_model.action_embedding.projection."),
    (r"world_model\.action_encoder\.embeddings?\.(?:embeddings\.)*(\d+)\.", r"world_model.action_embedding.tables.\1."),
    (r"world_model\._model\.layers\.(\d+)\.(?:retention\.|self_attn\.)?", r"world_model.sequence.network.layers.\1."),
    (rf"world_model\.head_observations\.{_MODALITY}\.", r"world_model.observation_heads.\1."),
    (r"world_model\.head_rewards\.model\.0\.", "world_model.reward_head.hidden.0."),
    (r"world_model\.head_rewards\.head\.", "world_model.reward_head.scalar."),
    (r"world_model\.head_ends\.", "world_model.end_head."),
    (r"actor_critic\.obs_latent_fuser\.", "actor_critic.actor_trunk.observation_encoder.mlp."),
    (r"actor_critic\.critic_latent_fuser\.", "actor_critic.critic_trunk.observation_encoder.mlp."),
    (r"actor_critic\.actor\.lstm\.", "actor_critic.actor_trunk.lstm."),
    (r"actor_critic\.critic\.lstm\.", "actor_critic.critic_trunk.lstm."),
    *(rule for trunk in ("actor", "critic") for rule in _trunk_renames(trunk)),
    (r"actor_critic\.actor_linear\.(?:0\.)?", "actor_critic.actor."),
    (r"actor_critic\.critic_v_head\.", "actor_critic.critic."),
)
_COMPILED = tuple((re.compile(pattern), replacement) for pattern, replacement in _RENAMES)
_MEMBER = re.compile(rf"world_model\.curiosity_head\.{_MODALITY}\.ensemble\.(\d+)\.([013])\.(weight|bias)")
_ACTION_TABLES = ("world_model.action_embedding.table.weight", "world_model.action_embedding.tables.0.weight")
"""Our names of the action table, continuous and discrete."""
_PROJECTION = re.compile(
    r"world_model\._model\.layers\.(\d+)\.(?:retention\.|self_attn\.)?([qkvg])_proj\.(weight|bias)"
)
_MEMBER_PARTS = {"0": "linear1", "1": "norm", "3": "linear2"}


def _rename(name: str) -> str:
    for pattern, replacement in _COMPILED:
        renamed, count = pattern.subn(replacement, name)
        if count:
            return renamed
    return name


def _stack_members(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stack the separate members of the ensemble as our batched heads hold them; leave out those beyond ours."""
    members: dict[tuple[str, str, str], dict[int, Tensor]] = {}
    for name, tensor in state.items():
        if (match := _MEMBER.fullmatch(name)) and int(match[2]) < MEMBERS:
            members.setdefault((match[1], match[3], match[4]), {})[int(match[2])] = tensor
    stacked = {}
    for (modality, part, kind), tensors in members.items():
        ordered = [tensors[i] for i in sorted(tensors)]
        is_matrix = part != "1" and kind == "weight"
        value = torch.stack([t.T for t in ordered]) if is_matrix else torch.stack(ordered)[:, None]
        separator = "_" if part == "1" else "."
        stacked[f"world_model.curiosity.heads.{modality}.{_MEMBER_PARTS[part]}{separator}{kind}"] = value
    return stacked


def _join_projections(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The projections of each layer, which are one here: four of retention, three of attention."""
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := _PROJECTION.fullmatch(name):
            parts.setdefault((match[1], match[3]), {})[match[2]] = tensor
    return {
        f"{_layer(layer)}{joined}_proj.{kind}": torch.cat([found[part] for part in joined])
        for (layer, kind), found in parts.items()
        for joined in ("qkvg", "qkv")
        if found.keys() == set(joined)
    }


def _layer(number: str) -> str:
    return f"world_model.sequence.network.layers.{number}."


class Translation(NamedTuple):
    """Weights under our names, and the reference's names that have no counterpart here."""

    weights: dict[str, Tensor]
    unused: list[str]


def from_reference(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Translation:
    """Translate a reference state dictionary for an agent of ours.

    Args:
        state: reference name -> tensor.
        wanted: the agent's own ``state_dict()``, which decides between names that differ by action space. What it
            lacks, the reference carries but does not use in this configuration.
    """
    together = _stack_members(state) | _join_projections(state)
    weights = {name: tensor for name, tensor in together.items() if name in wanted}
    unused = []
    for name, tensor in state.items():
        if (match := _MEMBER.fullmatch(name)) and int(match[2]) < MEMBERS:
            continue
        if (match := _PROJECTION.fullmatch(name)) and any(
            f"{_layer(match[1])}{joined}_proj.weight" in weights for joined in ("qkvg", "qkv")
        ):
            continue
        candidates = _ACTION_TABLES if name == "world_model.action_encoder.embedding.weight" else (_rename(name),)
        ours = next((candidate for candidate in candidates if candidate in wanted), None)
        if ours is None:
            unused.append(name)
        else:
            weights[ours] = tensor
    return Translation(weights, unused)


def unused_in_reference(agent: Agent) -> int:
    """Count the parameters that the reference's world model has beyond ours and never uses.

    With retention one more observation head per modality, with attention a token's table and output layer; the
    projection of image codes where there are no images, and that of continuous actions where they enter as tokens.
    """
    model = agent.world_model
    width = model.width
    heads = sum(p.numel() for p in model.observation_heads.parameters())
    count = 2 * width if isinstance(model.sequence, Attention) else heads
    if agent.tokenizer.image is None and width != REFERENCE_CODE_SIZE:
        count += REFERENCE_CODE_SIZE * width + width
    if isinstance(model.action_embedding, QuantisedActionEmbedding):
        count += model.action_embedding.tokens * width + width
    return count
