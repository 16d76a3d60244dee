"""Streams of moments to look at: real episodes, dreams beside them, stored episodes, a person's own play."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from m3.data.replay import Replay
from m3.environments import Environment
from m3.loading import LoadedAgent
from m3.seeding import derive
from m3.specs import Observation
from m3.watch.mind import Forecast, Forecaster, Mind, Thought, to_observation, to_tokens


@dataclass(frozen=True)
class Moment:
    """An observation, what was done on it, and what came of it, really and in the agent's mind."""

    episode: int
    step: int
    """In the episode, from 0."""
    scene: np.ndarray | None
    """The environment at full resolution, uint8 (height, width, 3), where there is one."""
    observation: Observation
    other: Observation
    """What is left of the observation in the agent's tokens, or what it dreams instead."""
    action: np.ndarray
    thought: Thought
    """What the agent makes of the observation."""
    forecast: Forecast
    """What the world model expects of the action."""
    reward: float | None
    """What the action brought, where that is known."""
    episode_return: float
    """Before the action."""
    dream_step: int | None = None
    """Steps since the dream left reality."""


Choose = Callable[[Thought], np.ndarray]
"""What to do: the agent's own action or somebody else's."""


def own_action(thought: Thought) -> np.ndarray:
    """The agent acts."""
    return thought.action


def generator_for(loaded: LoadedAgent, seed: int) -> torch.Generator:
    """The random choices of what is watched."""
    return torch.Generator(loaded.device).manual_seed(derive(seed, "watch"))


def play(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, choose: Choose = own_action
) -> Iterator[Moment]:
    """Episodes in the real environment, one after another, without end."""
    mind = Mind(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        mind.begin()
        total, step, over = 0.0, 0, False
        while not over:
            scene = environment.render()
            thought = mind.see(to_tokens(mind.agent, observation))
            action = choose(thought)
            forecast = mind.act(action)
            result = environment.step(action)
            yield Moment(
                episode=episode,
                step=step,
                scene=scene,
                observation=observation,
                other=to_observation(mind.agent, thought.tokens),
                action=action,
                thought=thought,
                forecast=forecast,
                reward=result.reward,
                episode_return=total,
            )
            total += result.reward
            step += 1
            observation, over = result.observation, result.terminated or result.truncated


def dream_beside(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, horizon: int
) -> Iterator[Moment]:
    """Real episodes, and beside them dreams of ``horizon`` steps.

    A dream begins with a real observation and the memory of what led there. From then on the world model gets what it
    has sampled itself, and the actions that the agent takes in reality.
    """
    dreamer = Forecaster(loaded.networks, loaded.settings.sequences, generator_for(loaded, derive(seed, "dream")))
    mind = Mind(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        mind.begin()
        total, step, over = 0.0, 0, False
        dream_step, tokens = 0, None
        while not over:
            scene = environment.render()
            thought = mind.see(to_tokens(mind.agent, observation))
            if tokens is None or dream_step == horizon:
                dreamer.follow(mind.forecaster)
                dream_step, tokens = 0, thought.tokens
            mind.act(thought.action)
            forecast = dreamer.step(torch.from_numpy(thought.action).to(loaded.device)[None])
            result = environment.step(thought.action)
            yield Moment(
                episode=episode,
                step=step,
                scene=scene,
                observation=observation,
                other=to_observation(mind.agent, tokens),
                action=thought.action,
                thought=thought,
                forecast=forecast,
                reward=result.reward,
                episode_return=total,
                dream_step=dream_step,
            )
            total += result.reward
            step += 1
            dream_step, tokens = dream_step + 1, forecast.tokens
            observation, over = result.observation, result.terminated or result.truncated


def play_dream(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, choose: Choose
) -> Iterator[Moment]:
    """Episodes inside the world model: their first steps are real and the agent's, what follows is dreamt.

    A dream ends where the world model says so, and the next one begins with another real start. Moments show the real
    observation with which it began beside the dream.
    """
    mind = Mind(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        mind.begin()
        tokens = to_tokens(mind.agent, observation)
        for _ in range(loaded.settings.sequences.context_length - 1):
            action = mind.see(tokens).action
            mind.act(action)
            observation = environment.step(action).observation
            tokens = to_tokens(mind.agent, observation)
        total, step, over = 0.0, 0, False
        while not over:
            thought = mind.see(tokens)
            action = choose(thought)
            forecast = mind.act(action)
            dreamt = to_observation(mind.agent, tokens)
            yield Moment(
                episode=episode,
                step=step,
                scene=environment.draw(dreamt),
                observation=observation,
                other=dreamt,
                action=action,
                thought=thought,
                forecast=forecast,
                reward=None,
                episode_return=total,
                dream_step=step,
            )
            total += forecast.reward
            step += 1
            tokens, over = forecast.tokens, forecast.end


def stored_episodes(
    loaded: LoadedAgent, environment: Environment, replay: Replay, temperature: float, seed: int
) -> Iterator[Moment]:
    """The finished episodes of a replay, the latest first, and what the agent makes of them by now."""
    mind = Mind(loaded, generator_for(loaded, seed), temperature)
    for number, (first, end) in enumerate(replay.finished_episodes()[::-1].tolist(), start=1):
        mind.begin()
        rows = replay.rows(first, end)
        total = 0.0
        for step in range(end - first - 1):
            observation = {name: values[step] for name, values in rows.observations.items()}
            action, reward = rows.columns["actions"][step], float(rows.columns["rewards"][step])
            thought = mind.see(to_tokens(mind.agent, observation))
            forecast = mind.act(action)
            yield Moment(
                episode=number,
                step=step,
                scene=environment.draw(observation),
                observation=observation,
                other=to_observation(mind.agent, thought.tokens),
                action=action,
                thought=thought,
                forecast=forecast,
                reward=reward,
                episode_return=total,
            )
            total += reward
