"""Play one episode with a trained agent: python examples/use_agent.py RUN."""

import sys

import m3

agent = m3.load(sys.argv[1])
environment = agent.make_environment()

observation = environment.reset(seed=0)
agent.reset(seed=0)
total, over = 0.0, False
while not over:
    step = environment.step(agent.act(observation))
    observation, over = step.observation, step.terminated or step.truncated
    total += step.reward
print(f"{agent.settings.task}: return {total:g} after {agent.agent_steps} steps of training")
