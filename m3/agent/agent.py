"""The M3 agent: tokenizer, world model and controller, each trained on its own."""

from torch import nn

from m3.agent.actor_critic import ActorCritic
from m3.config.schema import RunSettings
from m3.specs import ActionSpec, ObservationSpec
from m3.tokenizers.multimodal import Tokenizer
from m3.world_model.world_model import WorldModel


class Agent(nn.Module):
    """All networks for one environment's observations and actions."""

    def __init__(self, settings: RunSettings, observations: ObservationSpec, actions: ActionSpec) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(observations, settings.tokenizer)
        self.world_model = WorldModel(
            settings.world_model,
            settings.sequences.length,
            self.tokenizer.tokens,
            actions,
            settings.continuous_actions,
            settings.regression,
        )
        self.actor_critic = ActorCritic(
            settings.controller, self.tokenizer.views, self.tokenizer.tokens, actions, settings.regression
        )
