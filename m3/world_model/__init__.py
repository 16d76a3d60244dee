"""The world model: a retentive network that predicts blocks of tokens, rewards and terminations."""

from m3.world_model.world_model import WorldModel

__all__ = ["WorldModel"]
