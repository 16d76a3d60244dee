"""Training of actor and critic in imagination (M3 section 3.3)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from m3.agent.actor_critic import ActorCritic, LSTMState, PolicyState
from m3.agent.encoders import classes_to_actions
from m3.agent.returns import lambda_returns
from m3.config.schema import ControllerSettings
from m3.nn.distributions import Uniforms
from m3.nn.scaling import ReturnRange
from m3.tokenizers.multimodal import Tokenizer
from m3.world_model.imagination import Imagination, ImaginedState, ImaginedStep


class Trajectory(NamedTuple):
    """H imagined observations and the actions chosen on them: log-probability and entropy (B, H), value (B, H, ...).

    ``values`` is the value head's output. Rewards, terminations and disagreements (B, H - 1) follow all actions
    but the last, of which nothing more is asked: its return is its own value.
    """

    log_probs: Tensor
    entropies: Tensor
    values: Tensor
    rewards: Tensor
    terminations: Tensor
    disagreements: Tensor


def imagine(
    policy: ActorCritic,
    policy_state: PolicyState,
    imagination: Imagination,
    start: ImaginedState,
    tokenizer: Tokenizer,
    horizon: int,
    uniforms: Uniforms,
) -> Trajectory:
    """Act in imagination for ``horizon`` steps; gradients flow through the policy only.

    The first action is chosen on the last observation of the context. The actor acts without gradients; then actor
    and critic read the whole trajectory at once, with them.
    """
    observations, classes, imagined = act_in_imagination(
        policy, policy_state[0], imagination, start, tokenizer, horizon, uniforms
    )
    taken = classes_to_actions(classes[:, :-1], policy.actions)
    output = policy.unroll(tokenizer.decode(observations), taken, policy_state)
    distribution = policy.distribution(output.logits)
    return Trajectory(distribution.log_prob(classes), distribution.entropy(), output.value, *imagined)


@torch.no_grad()
def act_in_imagination(
    policy: ActorCritic,
    memory: LSTMState,
    imagination: Imagination,
    start: ImaginedState,
    tokenizer: Tokenizer,
    horizon: int,
    uniforms: Uniforms,
) -> tuple[dict[str, Tensor], Tensor, ImaginedStep]:
    """Tokens of H observations (B, H, K_m, C_m), the classes chosen on them (B, H, A), what followed (B, H - 1)."""
    trunk, state = policy.actor_trunk, start
    observations, chosen, imagined = [], [], []
    for t in range(horizon):
        memory = trunk.observe(tokenizer.decode(state.observation), memory)
        classes = policy.distribution(policy.actor(memory[0])).sample(uniforms)
        observations.append(state.observation)
        chosen.append(classes)
        if t + 1 < horizon:
            actions = classes_to_actions(classes, policy.actions)
            memory = trunk.act(actions, memory)
            outcome, state = imagination.advance(state, actions)
            imagined.append(outcome)
    together = {name: torch.stack([tokens[name] for tokens in observations], dim=1) for name in observations[0]}
    return together, torch.stack(chosen, dim=1), imagination.read(imagined)


class BehaviorLosses(NamedTuple):
    """Scalars: the losses, and what explains them. ``actor`` is the policy's loss without the entropy bonus."""

    actor: Tensor
    critic: Tensor
    entropy: Tensor
    returns: Tensor
    values: Tensor
    rewards: Tensor
    disagreement: Tensor
    scale: Tensor


def alive_steps(terminations: Tensor) -> Tensor:
    """Mark the steps that belong to the episode: from terminations (B, H - 1) to float (B, H).

    1 up to and including the step that ends an episode, 0 after it.
    """
    ended = F.pad(terminations.long().cumsum(dim=1), (1, 0))
    return (ended == 0).float()


def behavior_losses(
    policy: ActorCritic, trajectory: Trajectory, settings: ControllerSettings, return_range: ReturnRange
) -> BehaviorLosses:
    """Compute the losses of a trajectory; its returns are added to ``return_range`` first (M3 section 3.3).

    Actor, critic and return range learn from the first H - 1 steps. The last one's return is its own value, which
    teaches nothing; it counts in the entropy only.
    """
    rewards = settings.extrinsic_weight * trajectory.rewards + settings.intrinsic_weight * trajectory.disagreements
    values = policy.critic.mean(trajectory.values).detach()
    returns = lambda_returns(rewards, values, trajectory.terminations, settings.discount, settings.lambda_)[:, :-1]
    alive = alive_steps(trajectory.terminations)
    learning = alive[:, :-1]
    return_range.update(returns, learning.bool())
    scale = (0.5 * return_range.range()).clamp(min=1)
    advantages = (returns - values[:, :-1]) / scale

    count = learning.sum()

    def mean(x: Tensor) -> Tensor:
        return (x * learning).sum((-2, -1)) / count

    shown = mean(torch.stack((returns, values[:, :-1], trajectory.rewards, trajectory.disagreements))).unbind()
    return BehaviorLosses(
        actor=-mean(trajectory.log_probs[:, :-1] * advantages),
        critic=mean(policy.critic.loss(trajectory.values[:, :-1], returns)),
        entropy=(trajectory.entropies * alive).sum() / alive.sum(),
        returns=shown[0],
        values=shown[1],
        rewards=shown[2],
        disagreement=shown[3],
        scale=scale,
    )


def start_imagination(
    policy: ActorCritic,
    imagination: Imagination,
    tokenizer: Tokenizer,
    tokens: Mapping[str, Tensor],
    actions: Tensor,
    mask: Tensor,
    context_length: int,
) -> tuple[PolicyState, ImaginedState]:
    """Burn in on all but the last step of real windows; imagination starts from their last ``context_length`` blocks.

    Args:
        tokens: int64 (B, burn-in + context_length, K_m, C_m) per modality.
        actions: (B, burn-in + context_length, A); the last one is not used.
        mask: bool (B, burn-in + context_length), false before an episode's first step, true for the context.
    """
    past = tokenizer.decode({name: t[:, :-1] for name, t in tokens.items()})
    policy_state = policy.burn_in(past, actions[:, :-1], mask[:, :-1])
    context = {name: t[:, -context_length:] for name, t in tokens.items()}
    return policy_state, imagination.start(context, actions[:, -context_length:-1])
