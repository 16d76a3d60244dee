"""Every step, and acting, is one static graph: no look at a value, no shape that depends on one, no Python in the way.

The compiler is asked for whole graphs (`fullgraph`), of which a single break is an error, and the graph's results are
compared with those of the same functions as they are. To be quick, what it makes is not turned into machine code.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves, tree_map_only
from toy_runs import FSQ, toy_settings, toy_trainer

from m3.agent.behavior import act_in_imagination, start_imagination
from m3.agent.policy import Policy
from m3.nn import attention
from m3.nn.distributions import DrawnUniforms
from m3.nn.precision import autocast
from m3.runs.progress import finish
from m3.seeding import Randomness, randomness
from m3.training.component import WHOLE, Form
from m3.training.trainer import Trainer
from m3.world_model.imagination import Imagination

CPU = torch.device("cpu")
Target = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function, and tensors to call it with."""


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    logging.getLogger("torch.__trace").disabled = True  # else a failing test shows thousands of lines
    yield
    torch._dynamo.reset()


def new_random() -> Randomness:
    return randomness(CPU, 0)


def small_trainer(task: str, sequence: str = "retention", **more: Any) -> Trainer:
    """A short horizon and one layer, as the compiler takes its time; no dropout, which is another one when compiled."""
    changes = {
        "sequences": {"length": 4, "context_length": 2, "burn_in": 1},
        "world_model": {"layers": 1, "dropout": 0.0, "sequence": {"kind": sequence}},
        **more,
    }
    trainer = toy_trainer(toy_settings(task, **changes))
    finish(trainer.collector.collect(30, new_random()), "collect", 30)
    return trainer


def losses_of(trainer: Trainer, component: str, form: Form = WHOLE) -> Target:
    part = trainer.components[component]
    return (lambda batch: part.compute(batch, form)), (part.draw(new_random()).batch,)


def imagination_of(trainer: Trainer) -> tuple[Callable[[Tensor], Imagination], Any, Any, Any]:
    """How to make an imagination, and a batch, policy state and imagined state to begin with."""
    agent, batch = trainer.agent, trainer.components["controller"].draw(new_random()).batch

    def imagination(uniforms: Tensor) -> Imagination:
        return Imagination(agent.world_model, agent.tokenizer.codebooks, DrawnUniforms(uniforms))

    start = start_imagination(
        agent.actor_critic, imagination(batch.uniforms), agent.tokenizer, batch.tokens, batch.actions, batch.mask, 2
    )
    return imagination, batch, *start


def burn_in(trainer: Trainer) -> Target:
    imagination, batch, *_ = imagination_of(trainer)
    agent = trainer.agent

    def start(tokens: Any, actions: Tensor, mask: Tensor) -> Any:
        made = imagination(batch.uniforms)
        policy, state = start_imagination(agent.actor_critic, made, agent.tokenizer, tokens, actions, mask, 2)
        return policy, state.tokens, state.actions

    return start, (batch.tokens, batch.actions, batch.mask)


def remembered(memory: Any) -> Any:
    """The tensors of a memory, as far as they are filled."""
    if isinstance(memory, attention.Memory):
        assert memory.cache is not None
        return memory.cache.buffers[..., : memory.position, :]
    return tuple(memory.layers)


def imagined_step(trainer: Trainer) -> Target:
    imagination, batch, _, state = imagination_of(trainer)

    def step(uniforms: Tensor, actions: Tensor) -> Any:
        imagined, after = imagination(uniforms).step(state, actions)
        return imagined, after.tokens, remembered(after.memory)

    return step, (batch.uniforms, batch.actions[:, -1])


def imagination_loop(trainer: Trainer) -> Target:
    imagination, batch, policy_state, state = imagination_of(trainer)
    agent = trainer.agent

    def loop(uniforms: Tensor) -> Any:
        made = imagination(uniforms)
        policy = agent.actor_critic
        return act_in_imagination(policy, policy_state[0], made, state, agent.tokenizer, 3, made.uniforms)

    return loop, (batch.uniforms,)


def acting(trainer: Trainer) -> Target:
    policy = Policy(trainer.agent, temperature=0.5, epsilon=0.1)
    rows = trainer.replay.rows(0, 5).observations
    numbers = torch.rand(5, 2 * trainer.agent.actor_critic.action_variables + 1, generator=new_random().torch)
    observations = {name: torch.from_numpy(values) for name, values in rows.items()}
    return policy.choose, (observations, policy.initial_state(5), numbers)


def encoding(trainer: Trainer) -> Target:
    frames = trainer.replay.rows(0, 5).observations["image"]
    assert trainer.agent.tokenizer.image is not None
    return trainer.agent.tokenizer.image.encode, (torch.from_numpy(frames),)


TARGETS: dict[str, Callable[[Trainer], Target]] = {
    "losses of the world model": lambda trainer: losses_of(trainer, "world_model"),
    "actor-critic update": lambda trainer: losses_of(trainer, "controller"),
    "critic's warm-up": lambda trainer: losses_of(trainer, "controller", WHOLE | {"actor"}),
    "losses without curiosity": lambda trainer: losses_of(trainer, "world_model", WHOLE | {"curiosity"}),
    "update without curiosity": lambda trainer: losses_of(trainer, "controller", WHOLE | {"curiosity"}),
    "burn-in": burn_in,
    "imagined step": imagined_step,
    "imagination": imagination_loop,
    "acting": acting,
}
OF_IMAGES: dict[str, Callable[[Trainer], Target]] = {
    "losses of the tokenizer": lambda trainer: losses_of(trainer, "tokenizer"),
    "encoding": encoding,
}


def static(backend: str) -> Callable[..., Any]:
    """A backend that refuses graphs with numbers or shapes that are known at run time only."""
    follow = torch._dynamo.lookup_backend(backend)

    def compile_static(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        for node in graph.graph.nodes:
            for value in tree_leaves(node.meta.get("example_value")):
                sizes = value.shape if isinstance(value, Tensor) else (value,)
                assert not any(isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool) for size in sizes), node
        return follow(graph, inputs)

    return compile_static


def check(trainer: Trainer, target: Target, precision: Any, backend: str) -> None:
    """The whole graph of a target, against the target as it is; gradients too, where there are any."""
    function, inputs = target

    def in_precision(*given: Any) -> Any:
        with autocast(precision, CPU):
            return function(*given)

    graph = torch.compile(in_precision, backend=static(backend), fullgraph=True, dynamic=False)
    state = {name: value.clone() for name, value in trainer.components["controller"]._return_range.state_dict().items()}
    found = []
    for call in (in_precision, graph):
        trainer.components["controller"]._return_range.load_state_dict(state)
        trainer.agent.zero_grad()
        result = call(*inputs)
        if loss := getattr(result, "loss", None):
            loss.backward()
        gradients = {name: p.grad for name, p in trainer.agent.named_parameters() if p.grad is not None}
        found.append((tree_map_only(Tensor, Tensor.detach, tuple(result)), gradients))
    tolerance = 1e-4 if precision == "fp32" else 3e-2
    assert_close(found[1], found[0], rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        *(("all_modalities", name) for name in (*TARGETS, *OF_IMAGES)),
        *(("vector", name) for name in ("imagined step", "critic's warm-up")),
        *(("multi_discrete", name) for name in ("imagined step", "acting")),
    ],
)
def test_the_compiler_takes_it_in_one_graph(task: str, name: str) -> None:
    trainer = small_trainer(task)
    check(trainer, (TARGETS | OF_IMAGES)[name](trainer), "fp32", "eager")


@pytest.mark.parametrize("name", [*OF_IMAGES, "imagination", "acting"])
def test_the_compiler_takes_image_tokens_on_a_lattice_in_one_graph(name: str) -> None:
    trainer = small_trainer("image", **FSQ)
    check(trainer, (TARGETS | OF_IMAGES)[name](trainer), "fp32", "eager")


@pytest.mark.parametrize("name", ["losses of the world model", "imagined step", "imagination"])
def test_the_compiler_takes_attention_in_one_graph(name: str) -> None:
    trainer = small_trainer("vector", "attention")
    check(trainer, TARGETS[name](trainer), "fp32", "eager")


@pytest.mark.parametrize("name", ["losses of the world model", "actor-critic update"])
def test_gradients_of_one_graph_are_those_of_the_steps(name: str) -> None:
    """With the backward pass in a graph of its own."""
    trainer = small_trainer("vector")
    check(trainer, TARGETS[name](trainer), "fp32", "aot_eager")


@pytest.mark.parametrize("name", ["losses of the world model", "actor-critic update"])
def test_the_compiler_takes_bfloat16_in_one_graph(name: str) -> None:
    trainer = small_trainer("vector")
    check(trainer, TARGETS[name](trainer), "bf16", "eager")


@pytest.mark.parametrize(
    "fault",
    [
        lambda blocks: blocks if blocks.sum() > 0 else 2 * blocks,
        lambda blocks: blocks + blocks[blocks > 0].sum(),
        lambda blocks: blocks * blocks.sum().item(),
    ],
    ids=["branch", "mask", "value"],
)
def test_a_look_at_a_value_breaks_the_graph(fault: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = small_trainer("vector")
    model = trainer.agent.world_model
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda blocks, *rest: predict(fault(blocks), *rest))
    with pytest.raises((torch._dynamo.exc.Unsupported, torch._dynamo.exc.BackendCompilerFailed)):
        check(trainer, losses_of(trainer, "world_model"), "fp32", "eager")
