"""How uncertain the next tokens are to one who knows the current ones: python examples/token_uncertainty.py RUN...

Tokens say less than the numbers that they stand for, so that even in a deterministic task the next ones are uncertain.
For cart-poles, whose numbers are their whole state, this measures by how much. An agent plays; for each step, states
are drawn evenly from all those with the tokens that it saw, the simulator takes each of them on with the action that
was taken, and ``uncertainty`` is the entropy of the tokens that come out: what a perfect prediction from one
observation would lose, if states were spread evenly. A world model that reads several observations, or an agent that is
often in the same states, can be below. Prints a CSV; all in nats per token, as the world model's loss.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

import m3
from m3.config.schema import RunSettings
from m3.config.simulators import DmcEnvironment
from m3.diagnosis.episodes import play, to_tokens
from m3.diagnosis.predictions import predict
from m3.errors import UserError
from m3.nn.distributions import symexp
from m3.specs import Modality, ModalitySpec
from m3.tokenizers.discrete import VectorTokenizer, quantizer_values

EPISODES, LONGEST = 10, 500
"""Played by each agent, and their most steps."""
STEPS, STATES = 100, 200
"""Looked at, evenly spread over all episodes; and the states drawn for each."""
TRIES = 50
"""Draws, for each state wanted, of the angle behind a cosine and a sine."""
WIDTH = 0.2
"""Radians on either side in which it is looked for."""
HEADER = "benchmark,variant,task,seed,observation_loss,uncertainty"

Floats = NDArray[np.float64]
Follow = Callable[[Floats, Floats], Floats]
"""An observation (D,) and the action taken on it (A,) to the next one (D,)."""


def control_cart_pole(task: str, action_repeat: int) -> Follow:
    """The control suite's: position, cosine, sine, speed, angular speed."""
    from dm_control import suite  # once the agent's environment is made, MuJoCo looks for no display

    environment = suite.load(*task.split("-", 1))
    physics = environment.physics

    def follow(observation: Floats, action: Floats) -> Floats:
        position, cosine, sine, *velocity = observation
        with physics.reset_context():
            physics.set_state(np.array([position, np.arctan2(sine, cosine), *velocity]))
        for _ in range(action_repeat):
            environment.task.before_step(action, physics)
            physics.step()
        return np.concatenate([physics.bounded_position(), physics.velocity()])

    return follow


def cart_pole(task: str) -> Follow:
    """Gymnasium's: position, speed, angle, angular speed."""
    environment = gymnasium.make(task).unwrapped
    environment.reset(seed=0)

    def follow(observation: Floats, action: Floats) -> Floats:
        environment.state = observation
        environment.steps_beyond_terminated = None
        return np.asarray(environment.step(int(action[0]))[0], np.float64)

    return follow


def simulator(settings: RunSettings) -> Follow:
    """Of a run's task."""
    if isinstance(settings.environment, DmcEnvironment) and settings.task.startswith("cartpole-"):
        return control_cart_pole(settings.task, settings.environment.action_repeat)
    if settings.task == "CartPole-v1":
        return cart_pole(settings.task)
    raise UserError(f"states can be set in cart-poles only, not of {settings.task}")


def tokens_of(observations: Floats) -> NDArray[np.int64]:
    """(n, D) to (n, D)."""
    tokenizer = VectorTokenizer(ModalitySpec(observations.shape[1:], "float32"))
    return tokenizer.encode(torch.from_numpy(observations.astype(np.float32)))[..., 0].numpy()


def states_with_tokens_of(observation: Floats, on_circle: bool, random: np.random.Generator) -> Floats:
    """Observations (n, D) drawn evenly from those with the same tokens; n is ``STATES``, or somewhat less."""
    wanted = tokens_of(observation[None])[0]
    bounds = cells()
    found = random.uniform(bounds[wanted], bounds[wanted + 1], (STATES, len(observation)))
    if on_circle:  # the second and the third number are cosine and sine of one angle
        angles = np.arctan2(observation[2], observation[1]) + random.uniform(-WIDTH, WIDTH, TRIES * STATES)
        everything = np.tile(observation, (len(angles), 1))
        everything[:, 1:3] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        fitting = everything[(tokens_of(everything) == wanted).all(axis=1), 1:3][:STATES]
        found = found[: len(fitting)]
        found[:, 1:3] = fitting
    return found


def cells() -> Floats:
    """The bounds between which a number has a token, (vocabulary + 1,); of the outermost, only the inner half."""
    values = quantizer_values().double()
    inner = (values[1:] + values[:-1]) / 2
    return symexp(torch.cat((values[:1], inner, values[-1:]))).numpy()


def entropy(tokens: NDArray[np.int64]) -> float:
    """Of tokens (n, D): the mean over D of each one's entropy, in nats."""
    parts = []
    for column in tokens.T:
        shares = np.unique(column, return_counts=True)[1] / len(column)
        parts.append(-(shares * np.log(shares)).sum())
    return float(np.mean(parts))


def uncertainty(settings: RunSettings, steps: list[tuple[Floats, Floats]]) -> float:
    """The mean over observations (D,) and the actions taken on them (A,)."""
    random = np.random.default_rng(0)
    follow, on_circle = simulator(settings), settings.environment.family == "dmc"
    entropies = []
    for observation, action in steps:
        states = states_with_tokens_of(observation, on_circle, random)
        entropies.append(entropy(tokens_of(np.stack([follow(state, action) for state in states]))))
    return float(np.mean(entropies))


def main(runs: list[str]) -> None:
    print(HEADER)
    for run in runs:
        agent = m3.load(Path(run))
        settings = agent.settings
        episodes = [play(agent, 10_000 + seed, LONGEST) for seed in range(EPISODES)]
        losses = [
            predict(agent.networks, to_tokens(agent, episode), settings.sequences).observation_loss
            for episode in episodes
        ]
        steps = [
            (observation.astype(np.float64), action)
            for episode in episodes
            for observation, action in zip(episode.observations[Modality.VECTOR], episode.actions, strict=False)
        ]
        chosen = np.linspace(0, len(steps) - 1, STEPS).round().astype(int)
        found = uncertainty(settings, [steps[i] for i in chosen])
        names = (settings.benchmark, settings.variant, settings.task, settings.seed)
        print(",".join(map(str, names)), f"{torch.cat(losses).mean():.3f}", f"{found:.3f}", sep=",", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
