"""The tokenizer of whole observations."""

import pytest
import torch
from toy_runs import toy_settings

from m3.environments import make_environment
from m3.errors import UserError
from m3.specs import ModalitySpec, ObservationSpec
from m3.tokenizers.multimodal import Tokenizer


def test_all_modalities_side_by_side_in_block_order() -> None:
    settings = toy_settings("all_modalities")
    environment = make_environment(settings.environment, "all_modalities", "train")
    tokenizer = Tokenizer(environment.observation_spec, settings.tokenizer)
    observation = {name: torch.from_numpy(o)[None] for name, o in environment.reset(seed=0).items()}
    tokens = tokenizer.encode(observation)
    assert list(tokens) == ["image", "vector", "token", "token_2d"]
    assert {name: t.shape for name, t in tokens.items()} == {
        "image": (1, 16, 1),
        "vector": (1, 3, 1),
        "token": (1, 2, 1),
        "token_2d": (1, 4, 2),
    }
    views = tokenizer.decode(tokens)
    assert {name: v.shape[1:] for name, v in views.items()} == {n: v.shape for n, v in tokenizer.views.items()}
    assert list(tokenizer.codebooks) == ["image"]


def test_images_need_settings_of_their_tokenizer() -> None:
    spec = ObservationSpec({"image": ModalitySpec((3, 16, 16), "uint8")})
    with pytest.raises(UserError, match="tokenizer"):
        Tokenizer(spec, None)
