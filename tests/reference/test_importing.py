"""Published checkpoints of the reference become weights of ours, or are refused in one line."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from toy_runs import toy_settings

from m3.agent.agent import Agent
from m3.errors import UserError
from m3.reference import importing
from m3.reference.golden_agent import small_agent
from m3.reference.golden_file import GoldenFile
from m3.reference.importing import import_weights
from m3.reference.weights import from_reference
from m3.runs.weights import load_weights
from m3.specs import DiscreteActions, ModalitySpec, ObservationSpec

GOLDEN = Path(__file__).parents[1] / "golden"
AGENTS = (
    *("image_discrete", "vector_continuous", "mixed_discrete"),
    *(f"simulus/attention_{name}" for name in ("fsq_image_discrete", "vector_continuous", "mixed_discrete")),
)


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
    monkeypatch.setattr(importing, "make_environment", lambda *_: spaces)
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
    monkeypatch.setattr(importing, "make_environment", lambda *_: spaces)
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


def reference_names(state: dict[str, Tensor], spell: dict[str, str]) -> dict[str, Tensor]:
    """A state under other names: the first pattern of ``spell`` that fits renames a tensor."""
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in spell.items():
            if re.match(ours, name):
                renamed[re.sub(ours, theirs, name)] = tensor
                break
    return renamed


@pytest.mark.parametrize("nesting", ["", "embeddings.", "embeddings.embeddings."])
def test_multi_discrete_actions_of_separate_networks_have_names(nesting: str) -> None:
    spaces = ObservationSpec({"token": ModalitySpec((3,), "int64", (5,))}), DiscreteActions((2, 3, 4))
    settings = toy_settings("mixed", controller={"separate_networks": True})
    wanted = Agent(settings, *spaces).state_dict()
    trunk, tokens = r"actor_critic\.(actor|critic)_trunk\.", r"observation_encoder\.encoders\.token\.0\.tables\.0\."
    theirs = {
        r"world_model\.action_embedding\.tables\.": rf"world_model.action_encoder.embedding.{nesting}",
        rf"{trunk}action_encoder\.encoder\.tables\.": rf"actor_critic.\1_actions_embeddings.{nesting}",
        rf"{trunk.replace('|critic', '')}{tokens}": "actor_critic.obs_encoders.token.embeddings.",
        rf"{trunk}{tokens}": "actor_critic.critic_obs_encoders.token.embeddings.",
        rf"{trunk.replace('|critic', '')}observation_encoder\.mlp\.": "actor_critic.obs_latent_fuser.",
        rf"{trunk}observation_encoder\.mlp\.": "actor_critic.critic_latent_fuser.",
        rf"{trunk}lstm\.": r"actor_critic.\1.lstm.",
        r"actor_critic\.actor\.": "actor_critic.actor_linear.",
        r"actor_critic\.critic\.": "actor_critic.critic_v_head.",
    }
    translation = from_reference(reference_names(wanted, theirs), wanted)
    expected = {name: t for name, t in wanted.items() if name.startswith(("actor_critic.", "world_model.action"))}
    assert translation.unused == []
    assert translation.weights.keys() == expected.keys()
    assert all(torch.equal(translation.weights[name], tensor) for name, tensor in expected.items())


def test_image_tokens_of_other_levels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All weights of levels [4, 3, 4] have the shapes of those of [4, 4, 3]."""
    case = Case("simulus/attention_fsq_image_discrete")
    spaces = SimpleNamespace(observation_spec=case.observations, action_spec=case.actions, close=lambda: None)
    monkeypatch.setattr(importing, "make_environment", lambda *_: spaces)
    levels = {"tokenizer.tokenizers.image.fsq._levels": torch.tensor([4, 3, 4])}
    torch.save(case.state | levels, tmp_path / "published.pt")
    with pytest.raises(
        UserError, match=r"image tokens of levels \[4, 3, 4\]; tokenizer.quantizer.levels is \[4, 4, 3\]"
    ):
        import_weights(tmp_path / "published.pt", case.settings, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
