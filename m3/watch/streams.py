"""Streams of steps to look at: real episodes, imagined ones beside them, stored episodes, a person's own play."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from m3.data.replay import Replay
from m3.environments import Environment
from m3.runs.loading import LoadedAgent
from m3.seeding import derive
from m3.specs import Observation
from m3.watch.online_agent import Decision, Forecast, Forecaster, OnlineAgent, to_observation, to_tokens


@dataclass(frozen=True)
class WatchedStep:
    """An observation, what was done on it, and what came of it, really and as the agent expected."""

    episode: int
    step: int
    """The step's number in its episode, from 0."""
    scene: np.ndarray | None
    """The environment at full resolution, uint8 (height, width, 3), where there is one."""
    observation: Observation
    other: Observation
    """What is left of the observation in the agent's tokens, or what it imagines instead."""
    action: np.ndarray
    decision: Decision
    """What the agent makes of the observation."""
    forecast: Forecast
    """What the world model expects of the action."""
    reward: float | None
    """What the action brought, where that is known."""
    episode_return: float
    """Before the action."""
    imagined_step: int | None = None
    """Steps since imagination left reality."""


Choose = Callable[[Decision], np.ndarray]
"""What to do: the agent's own action or somebody else's."""


def own_action(decision: Decision) -> np.ndarray:
    """Take the agent's own action."""
    return decision.action


def generator_for(loaded: LoadedAgent, seed: int) -> torch.Generator:
    """Make the random stream of what is watched."""
    return torch.Generator(loaded.device).manual_seed(derive(seed, "watch"))


def play(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, choose: Choose = own_action
) -> Iterator[WatchedStep]:
    """Play episodes in the real environment, one after another, without end."""
    online = OnlineAgent(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        online.begin()
        total, step, over = 0.0, 0, False
        while not over:
            scene = environment.render()
            decision = online.observe(to_tokens(online.agent, observation))
            action = choose(decision)
            forecast = online.act(action)
            result = environment.step(action)
            yield WatchedStep(
                episode=episode,
                step=step,
                scene=scene,
                observation=observation,
                other=to_observation(online.agent, decision.tokens),
                action=action,
                decision=decision,
                forecast=forecast,
                reward=result.reward,
                episode_return=total,
            )
            total += result.reward
            step += 1
            observation, over = result.observation, result.terminated or result.truncated


def imagine_beside(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, horizon: int
) -> Iterator[WatchedStep]:
    """Play real episodes, and imagine beside them for ``horizon`` steps at a time.

    A dream begins with a real observation and the memory of what led there. From then on the world model gets what it
    has sampled itself, and the actions that the agent takes in reality.
    """
    imagining = Forecaster(loaded.networks, loaded.settings.sequences, generator_for(loaded, derive(seed, "dream")))
    online = OnlineAgent(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        online.begin()
        total, step, over = 0.0, 0, False
        imagined_step, tokens = 0, None
        while not over:
            scene = environment.render()
            decision = online.observe(to_tokens(online.agent, observation))
            if tokens is None or imagined_step == horizon:
                imagining.follow(online.forecaster)
                imagined_step, tokens = 0, decision.tokens
            online.act(decision.action)
            forecast = imagining.step(torch.from_numpy(decision.action).to(loaded.device)[None])
            result = environment.step(decision.action)
            yield WatchedStep(
                episode=episode,
                step=step,
                scene=scene,
                observation=observation,
                other=to_observation(online.agent, tokens),
                action=decision.action,
                decision=decision,
                forecast=forecast,
                reward=result.reward,
                episode_return=total,
                imagined_step=imagined_step,
            )
            total += result.reward
            step += 1
            imagined_step, tokens = imagined_step + 1, forecast.tokens
            observation, over = result.observation, result.terminated or result.truncated


def play_imagined(
    loaded: LoadedAgent, environment: Environment, temperature: float, seed: int, choose: Choose
) -> Iterator[WatchedStep]:
    """Play episodes inside the world model: their first steps are real and the agent's, what follows is imagined.

    A dream ends where the world model says so, and the next one begins with another real start. Steps show the real
    observation with which it began beside the dream.
    """
    online = OnlineAgent(loaded, generator_for(loaded, seed), temperature)
    episode = 0
    while True:
        episode += 1
        observation = environment.reset(seed if episode == 1 else None)
        online.begin()
        tokens = to_tokens(online.agent, observation)
        for _ in range(loaded.settings.sequences.context_length - 1):
            action = online.observe(tokens).action
            online.act(action)
            observation = environment.step(action).observation
            tokens = to_tokens(online.agent, observation)
        total, step, over = 0.0, 0, False
        while not over:
            decision = online.observe(tokens)
            action = choose(decision)
            forecast = online.act(action)
            imagined = to_observation(online.agent, tokens)
            yield WatchedStep(
                episode=episode,
                step=step,
                scene=environment.draw(imagined),
                observation=observation,
                other=imagined,
                action=action,
                decision=decision,
                forecast=forecast,
                reward=None,
                episode_return=total,
                imagined_step=step,
            )
            total += forecast.reward
            step += 1
            tokens, over = forecast.tokens, forecast.terminated


def stored_episodes(
    loaded: LoadedAgent, environment: Environment, replay: Replay, temperature: float, seed: int
) -> Iterator[WatchedStep]:
    """Show the finished episodes of a replay, the latest first, and what the agent makes of them by now."""
    online = OnlineAgent(loaded, generator_for(loaded, seed), temperature)
    for number, (first, end) in enumerate(replay.finished_episodes()[::-1].tolist(), start=1):
        online.begin()
        rows = replay.rows(first, end)
        total = 0.0
        for step in range(end - first - 1):
            observation = {name: values[step] for name, values in rows.observations.items()}
            action, reward = rows.columns["actions"][step], float(rows.columns["rewards"][step])
            decision = online.observe(to_tokens(online.agent, observation))
            forecast = online.act(action)
            yield WatchedStep(
                episode=number,
                step=step,
                scene=environment.draw(observation),
                observation=observation,
                other=to_observation(online.agent, decision.tokens),
                action=action,
                decision=decision,
                forecast=forecast,
                reward=reward,
                episode_return=total,
            )
            total += reward
