"""Quantised vectors and observations that are tokens already."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from m3.nn.distributions import symexp, symlog
from m3.specs import ModalitySpec
from m3.tokenizers.discrete import TokenTokenizer, VectorTokenizer, quantizer_values


@pytest.fixture
def vectors() -> VectorTokenizer:
    return VectorTokenizer(ModalitySpec((3,), "float32"))


def test_there_are_125_values_dense_to_symlog_pi_and_sparse_to_six() -> None:
    values = quantizer_values().numpy()
    border = np.log1p(np.pi)
    positive = np.concatenate([np.linspace(0, border, 32), np.linspace(border, 6, 32)[1:]])
    np.testing.assert_allclose(values, np.concatenate([-positive[:0:-1], positive]), atol=1e-12)
    assert len(values) == 125


def test_a_number_becomes_the_nearest_value_in_symlog_space(vectors: VectorTokenizer) -> None:
    raw = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.3, 3.0, 300.0])
    symlogged = torch.sign(raw) * torch.log1p(raw.abs())
    distances = (symlogged[..., None].double() - quantizer_values()).abs()
    assert torch.equal(vectors.encode(raw)[..., 0], distances.argmin(-1))


def test_the_boundary_of_two_values_belongs_to_the_upper(vectors: VectorTokenizer) -> None:
    """Among the floats around each boundary's symexp there is one whose symlog is the boundary exactly."""
    values = quantizer_values()
    boundaries = ((values[1:] + values[:-1]) / 2).float()
    steps = 1 + torch.arange(-20, 21) * torch.finfo(torch.float32).eps
    around = symexp(boundaries.double()).float()[:, None] * steps
    on_boundary = symlog(around) == boundaries[:, None]
    assert on_boundary.any(dim=1).sum() > 100
    tokens = vectors.encode(around)[..., 0]
    upper = torch.arange(1, 125)[:, None].expand_as(tokens)
    assert torch.equal(tokens[on_boundary], upper[on_boundary])


def test_order_is_kept_and_far_numbers_get_the_end(vectors: VectorTokenizer) -> None:
    tokens = vectors.encode(torch.linspace(-600, 600, 3000).view(-1, 3))[..., 0].flatten()
    assert (tokens.diff() >= 0).all()
    assert tokens[[0, -1]].tolist() == [0, 124]
    assert vectors.encode(torch.tensor([[1e30, -1e30, 0.0]]))[0, :, 0].tolist() == [124, 0, 62]


def test_decoding_gives_what_was_nearest_in_symlog_space(vectors: VectorTokenizer) -> None:
    tokens = torch.arange(123).view(41, 3, 1)
    decoded = vectors.decode(tokens)
    assert_close(decoded, quantizer_values().float()[:123].view(41, 3))
    assert torch.equal(vectors.encode(symexp(decoded)), tokens)


@pytest.mark.parametrize(
    ("spec", "raw", "expected"),
    [
        (ModalitySpec((2,), "uint8", (5,)), [3, 1], [[3], [1]]),
        (ModalitySpec((2, 3), "uint8", (5, 6, 7)), [[4, 5, 6], [0, 1, 2]], [[4, 5, 6], [0, 1, 2]]),
        (ModalitySpec((2, 1), "uint8", (5,)), [[4], [2]], [[4], [2]]),
    ],
    ids=["tokens", "cells of columns", "cells of one column"],
)
def test_tokens_stay_what_they_are(spec: ModalitySpec, raw: list, expected: list) -> None:
    tokenizer = TokenTokenizer(spec)
    window = torch.tensor(raw, dtype=torch.uint8).expand(4, 6, *spec.shape)
    tokens = tokenizer.encode(window)
    assert tokens.dtype == torch.int64
    assert tokens[3, 5].tolist() == expected
    assert tokens.shape == (4, 6, tokenizer.tokens.count, len(tokenizer.tokens.vocabularies))
    assert torch.equal(tokenizer.decode(tokens), tokens)
    assert tokens.shape[2:] == tokenizer.view.shape
