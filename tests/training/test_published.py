"""Published checkpoints of the reference become weights of ours, or are refused in one line."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.errors import UserError
from m3.reference import published
from m3.reference.golden import GoldenFile
from m3.reference.golden_agent import small_agent
from m3.reference.published import import_weights
from m3.training.weights import load_weights

GOLDEN = Path(__file__).parents[1] / "golden"
AGENTS = ("image_discrete", "vector_continuous", "mixed_discrete")


class Case:
    """A golden agent: the reference's state, and our settings and spaces for it."""

    def __init__(self, name: str) -> None:
        self.arrays = GoldenFile(GOLDEN / f"{name}.npz")
        self.settings, self.observations, self.actions = small_agent(self.arrays)

    @property
    def state(self) -> dict[str, Tensor]:
        return self.arrays.below("state/")


@pytest.fixture(params=AGENTS)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A golden agent whose spaces an environment has."""
    case = Case(request.param)
    spaces = SimpleNamespace(observation_spec=case.observations, action_spec=case.actions, close=lambda: None)
    monkeypatch.setattr(published, "make_environment", lambda *_: spaces)
    return case


def nested(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The same state as one dictionary per part."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts


@pytest.mark.parametrize("arrange", [dict, nested], ids=["flat", "one dictionary per part"])
def test_the_imported_agent_acts_like_the_reference(case: Case, tmp_path: Path, arrange: type) -> None:
    torch.save(arrange(case.state), tmp_path / "published.pt")
    import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")

    agent = Agent(case.settings, case.observations, case.actions).eval()
    agent.load_state_dict(load_weights(tmp_path / "weights.safetensors").state)
    raw = {
        name: torch.tensor(case.arrays["batch/image_uint8" if name == "image" else f"batch/{name}"])
        for name in case.observations.modalities
    }
    with torch.no_grad():
        first = {name: view[:, 0] for name, view in agent.tokenizer.decode(agent.tokenizer.encode(raw)).items()}
        output, _ = agent.actor_critic.observe(first, agent.actor_critic.initial_state(4))
    golden = torch.tensor(case.arrays["actor_critic/action_logits"])[:, 0].flatten(1)
    torch.testing.assert_close(output.logits, golden, atol=1e-5, rtol=0)


def test_what_has_no_use_here_is_named(case: Case, tmp_path: Path) -> None:
    state = case.state | {"world_model.something_else.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "published.pt")
    imported = import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")
    assert "world_model.something_else.weight" in imported.unused
    assert imported.taken > 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("actor_critic.actor.lstm.weight_hh_l0"),
            "has no weights for actor_critic.actor_trunk",
        ),
        (lambda state: state.update({"world_model.head_ends.3.bias": torch.zeros(5)}), "is of another size"),
        (dict.clear, "has no weights under the names of M3"),
    ],
    ids=["missing", "other size", "foreign"],
)
def test_other_checkpoints_are_refused(
    change: object, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = Case("mixed_discrete")
    spaces = SimpleNamespace(observation_spec=case.observations, action_spec=case.actions, close=lambda: None)
    monkeypatch.setattr(published, "make_environment", lambda *_: spaces)
    state = case.state
    assert callable(change)
    change(state)
    torch.save(state, tmp_path / "published.pt")
    with pytest.raises(UserError, match=message):
        import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("content", [b"hello\n", b"", b"PK\x03\x04", b"\x80\x02]q\x00."])
def test_files_of_something_else_are_refused(content: bytes, case: Case, tmp_path: Path) -> None:
    (tmp_path / "published.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"published\.pt"):
        import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")


def test_a_file_with_code_is_refused_and_not_run(case: Case, tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(tmp_path / "executed").write_text, ("yes",))

    torch.save({"tokenizer": Code()}, tmp_path / "published.pt")
    with pytest.raises(UserError):
        import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")
    assert not (tmp_path / "executed").exists()
