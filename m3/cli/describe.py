"""Describe the agent of a run."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3.agent.agent import Agent
    from m3.config.schema import RunSettings

HELP = "show an agent's observations, actions, numbers of parameters and memory of imagination"

EXAMPLES = """\
m3 describe --benchmark atari100k --task Breakout
m3 describe --benchmark dmc500k --task walker-run --variant tiny
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    parser.add_argument("--task", required=True, help="for example Breakout")
    parser.add_argument("--variant", default="m3", help="the agent's configuration (default: m3)")


def run(args: argparse.Namespace) -> int:
    from contextlib import closing

    from m3.agent.agent import Agent
    from m3.config.experiment import Run
    from m3.config.loading import load_run
    from m3.environments import make_environment
    from m3.runs.requirements import size

    settings = load_run(Run(args.benchmark, args.variant, args.task, seed=0))
    with closing(make_environment(settings.environment, settings.task, "test")) as environment:
        observations, actions = environment.observation_spec, environment.action_spec
        agent = Agent(settings, observations, actions)
    print(f"{args.benchmark} {args.task} {args.variant}: {settings.environment.family} environment")
    for name, modality in observations.modalities.items():
        tokens = agent.tokenizer.tokens[name]
        vocabulary = " x ".join(map(str, tokens.vocabularies))
        print(f"  sees {name}: {modality.dtype} {modality.shape}, {tokens.count} tokens of {vocabulary}")
    print(f"  acts: {actions}")
    _show_parameters(agent, _has_published_counterpart(settings))
    batch = settings.controller.schedule.batch_size
    memory = agent.world_model.sequence.memory_bytes(batch)
    if memory is not None:
        print(f"  imagination of a batch of {batch} keeps up to {size(memory)} of what the world model remembers")
    return 0


def _has_published_counterpart(settings: "RunSettings") -> bool:
    """Whether the authors trained agents of this size, of the same parts, on this benchmark."""
    from m3.config.experiment import Run
    from m3.config.loading import load_run
    from m3.config.plan import PUBLISHED_BENCHMARKS
    from m3.runs.named_code import asked_for

    if settings.benchmark not in PUBLISHED_BENCHMARKS or asked_for(settings):
        return False
    published = load_run(Run(settings.benchmark, "m3", settings.task, seed=0)).world_model
    return (settings.world_model.layers, settings.world_model.width) == (published.layers, published.width)


def _show_parameters(agent: "Agent", beside_the_reference: bool) -> None:
    from m3.reference.weights import unused_in_reference

    counts = {
        "tokenizer": sum(p.numel() for p in agent.tokenizer.parameters()),
        "world model": sum(p.numel() for p in agent.world_model.parameters()),
        "controller": sum(p.numel() for p in agent.actor_critic.parameters()),
    }
    if not beside_the_reference:
        print("  parameters")
        for name, count in counts.items():
            print(f"    {name:<12} {count:>16,}")
        return
    spare = unused_in_reference(agent)
    print("  parameters     in the reference      trained here")
    for name, count in counts.items():
        print(f"    {name:<12} {count + spare * (name == 'world model'):>16,} {count:>17,}")
    print(f"  the reference's world model has {spare:,} parameters that it never uses")
