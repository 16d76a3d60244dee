"""Nothing asks which image tokenizer there is: training, resuming and watching work with one from the user's file."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import random_steps, toy_agent, toy_settings, train_in_folder

from m3.errors import UserError
from m3.files.names import METRICS, WEIGHTS
from m3.runs.loading import load
from m3.tokenizers.base import ImageTokenizer
from m3.watch.online_agent import to_observation, to_tokens
from m3.watch.streams import play

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples/own_image_tokenizer/colours.py"


def own(file: Path = FILE, name: str = "Colours", **options: Any) -> dict:
    return {"quantizer": {"kind": "own", "model": f"{file}:{name}", "options": {"side": 2, **options}}}


KINDS = {"vq": {}, "fsq": {"quantizer": {"kind": "fsq", "levels": [4, 4]}}, "own": own()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_the_protocol(kind: str) -> None:
    agent = toy_agent("image", tokenizer=KINDS[kind])
    image = agent.tokenizer.image
    assert isinstance(image, ImageTokenizer)
    tokens, _ = random_steps(agent, 2, 5)
    spec, view = image.tokens, image.view
    assert image.codebook.shape == (*spec.vocabularies, spec.code_size)
    assert (image.codebook.dtype, image.codebook.requires_grad) == (torch.float32, False)
    maps = image.decode(tokens["image"])
    assert maps.shape == (2, 5, *view.shape)
    raw = image.reconstruct(tokens["image"])
    assert (raw.dtype, raw.shape) == (torch.uint8, (2, 5, 3, 8, 8))
    again = image.encode(raw)
    assert (again.dtype, again.shape) == (torch.int64, tokens["image"].shape)
    assert again.max() < spec.vocabularies[0]
    losses = image.losses(raw.flatten(0, 1), None)
    assert all(loss.shape == () for loss in losses.values())
    sum(losses.values()).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in image.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_trains_and_is_watched(kind: str, tmp_path: Path) -> None:
    folder = train_in_folder(tmp_path / "run", toy_settings("image", tokenizer=KINDS[kind]))
    assert (folder / WEIGHTS).exists()
    assert (folder / METRICS).exists()
    loaded = load(folder, own_code=[FILE])
    with closing(loaded.make_environment()) as environment:
        watched = next(play(loaded, environment, temperature=0.5, seed=0))
    kept = to_observation(loaded.networks, to_tokens(loaded.networks, watched.observation))
    assert kept["image"].shape == watched.observation["image"].shape


def test_the_variant_of_the_example_names_its_file() -> None:
    text = (FILE.parent / "colours.yaml").read_text()
    assert f"{FILE.relative_to(ROOT)}:Colours" in text


@pytest.mark.parametrize(
    ("tokenizer", "said"),
    [
        (own(name="Colors"), "has no class Colors that extends m3.tokenizers.base.ImageTokenizer"),
        (own(name="Tensor"), "has no class Tensor that extends"),
        (own(size=2), "cannot be made: .*unexpected keyword argument 'size'"),
        (own(side=3), "cannot be made: a side of 3 does not divide 8 x 8 pixels"),
        (own(file=FILE.with_name("colors.py")), "tokenizer.quantizer.model: .*colors.py does not exist"),
    ],
)
def test_a_mistake_is_said_in_one_line(tokenizer: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        toy_agent("image", tokenizer=tokenizer)
    assert "\n" not in str(caught.value)
