"""The tokenizer of images with a codebook: shapes, nearest codes, gradients, losses."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from m3.config.schema import ImageTokenizerSettings, Schedule
from m3.errors import UserError
from m3.specs import ModalitySpec
from m3.tokenizers.image_vq import VQTokenizer


def make_tokenizer(shape: tuple[int, ...] = (3, 16, 16), **settings: Any) -> VQTokenizer:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channels": 8, "downsamples": 2, "code_size": 8, "vocabulary": 10, **settings}
    schedule = Schedule(start_after_epoch=0, steps_per_epoch=1, batch_size=1)
    return VQTokenizer(ModalitySpec(shape, "uint8"), ImageTokenizerSettings(**sizes, schedule=schedule)).eval()


def random_images(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_each_place_gets_the_code_nearest_to_its_latent() -> None:
    tokenizer = make_tokenizer()
    raw = random_images(2, 3, 3, 16, 16)
    tokens = tokenizer.encode(raw)
    assert tokens.shape == (2, 3, 16, 1)
    latents = tokenizer.encoder(raw.flatten(0, 1) / 127.5 - 1)
    for image, row, column in ((0, 0, 0), (4, 1, 3), (5, 3, 2)):
        distances = ((latents[image, :, row, column] - tokenizer.codebook) ** 2).sum(-1)
        assert tokens.flatten(0, 1)[image, 4 * row + column, 0] == distances.argmin()


def test_decoding_places_the_code_vectors_where_their_tokens_were() -> None:
    tokenizer = make_tokenizer()
    tokens = torch.arange(16).view(1, 16, 1) % 10
    maps = tokenizer.decode(tokens)
    assert maps.shape == (1, 8, 4, 4)
    assert_close(maps[0, :, 2, 1], tokenizer.codebook[9])
    assert not maps.requires_grad


def test_stacked_images_are_tokenised_one_by_one() -> None:
    tokenizer = make_tokenizer(shape=(6, 16, 16))
    raw = random_images(5, 6, 16, 16)
    tokens = tokenizer.encode(raw)
    assert tokenizer.tokens.count == tokens.shape[1] == 32
    first, second = (make_tokenizer().encode(part) for part in raw.split(3, dim=1))
    assert torch.equal(tokens, torch.cat((first, second), dim=1))
    maps = tokenizer.decode(tokens)
    assert maps.shape[1:] == tokenizer.view.shape == (16, 4, 4)
    assert_close(maps[:, 8:], make_tokenizer().decode(second))


def test_halves_of_images_have_half_the_tokens() -> None:
    assert make_tokenizer(shape=(3, 8, 16)).encode(random_images(2, 3, 8, 16)).shape == (2, 8, 1)


@pytest.mark.parametrize("shape", [(3, 16, 18), (3, 15, 16), (4, 16, 16)])
def test_unsuitable_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="sides divisible by 4"):
        make_tokenizer(shape)


def test_losses_are_those_of_the_quantised_reconstruction() -> None:
    tokenizer = make_tokenizer()
    raw = random_images(4, 3, 16, 16)
    images = raw / 127.5 - 1
    latents = tokenizer.encoder(images)
    codes = tokenizer.decode(tokenizer.encode(raw))
    losses = tokenizer.losses(raw, lambda one, other: (one - other).abs().max())
    assert_close(losses["commitment"], 2 * F.mse_loss(latents, codes))
    assert_close(losses["reconstruction"], F.mse_loss(tokenizer.decoder(codes), images))
    assert_close(losses["perceptual"], (tokenizer.decoder(codes) - images).abs().max())
    assert tokenizer.losses(raw, perceptual=None)["perceptual"] == 0


def test_gradients_pass_the_quantiser_straight_through() -> None:
    """The encoder's gradient is that of the latents as if they had been decoded; codes learn from commitment only."""
    tokenizer = make_tokenizer()
    raw = random_images(4, 3, 16, 16)
    tokenizer.losses(raw, None)["reconstruction"].backward()
    assert tokenizer.codes.weight.grad is None
    straight = [p.grad.clone() for p in tokenizer.encoder.parameters() if p.grad is not None]

    tokenizer.zero_grad()
    images = raw / 127.5 - 1
    codes = tokenizer.decode(tokenizer.encode(raw)).requires_grad_()
    F.mse_loss(tokenizer.decoder(codes), images).backward()
    tokenizer.encoder(images).backward(codes.grad)
    expected = [p.grad for p in tokenizer.encoder.parameters() if p.grad is not None]
    assert len(straight) == len(expected) > 0
    for one, other in zip(straight, expected, strict=True):
        assert_close(one, other)


def test_commitment_pulls_codes_and_latents_to_each_other() -> None:
    tokenizer = make_tokenizer()
    raw = random_images(4, 3, 16, 16)
    before = tokenizer.losses(raw, None)["commitment"]
    before.backward()
    used = tokenizer.encode(raw).unique()
    assert tokenizer.codes.weight.grad is not None
    assert (tokenizer.codes.weight.grad[used].abs().sum(-1) > 0).all()
    assert all(p.grad is not None for p in tokenizer.encoder.parameters())
    assert all(p.grad is None for p in tokenizer.decoder.parameters())
    with torch.no_grad():
        for parameter in (tokenizer.codes.weight, *tokenizer.encoder.parameters()):
            parameter -= 0.01 * parameter.grad
    assert tokenizer.losses(raw, None)["commitment"] < before


def test_batch_norm_uses_the_batch_in_training_and_running_averages_in_evaluation() -> None:
    tokenizer = make_tokenizer()
    codes = tokenizer.decode(torch.randint(10, (8, 16, 1), generator=torch.Generator().manual_seed(0)))
    evaluated = tokenizer.decoder(codes)
    assert_close(tokenizer.decoder(codes[:1]), evaluated[:1], atol=1e-5, rtol=1e-4)
    assert torch.equal(tokenizer.decoder(codes), evaluated)  # evaluation leaves no trace
    tokenizer.train()
    trained = tokenizer.decoder(codes)
    assert_close(tokenizer.decoder(10 * codes + 3), trained, atol=1e-2, rtol=1e-2)
    tokenizer.eval()
    assert not torch.allclose(tokenizer.decoder(codes), evaluated)


def test_encoding_does_not_depend_on_the_mode_or_the_batch() -> None:
    """Tokens of a frame are the same whatever else is in the batch, also while the tokenizer trains."""
    tokenizer = make_tokenizer()
    raw = random_images(6, 3, 16, 16)
    tokens = tokenizer.encode(raw)
    assert torch.equal(tokenizer.train().encode(raw[2:4]), tokens[2:4])


def test_channels_that_the_norms_cannot_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="channels 12 must be a multiple of 8"):
        make_tokenizer(channels=12)
