"""Craftax's numbers to tokens and back."""

import itertools

import numpy as np
import pytest

from m3.environments.craftax_encoding import CELLS, NO_MOB, SIZE, decode, encode, observation_spec


def with_cells(cells: np.ndarray) -> np.ndarray:
    """Observations (n, 8268) that show the given cells (any number, 83), dark ones after them."""
    count = -(-len(cells) // CELLS)
    padded = np.zeros((count * CELLS, 83), np.float32)
    padded[: len(cells)] = cells
    rest = np.tile(np.eye(51, dtype=np.float32)[32], (count, 1))
    return np.concatenate([padded.reshape(count, -1), rest], axis=1)


def test_sizes_are_craftaxs():
    assert SIZE == 8268
    assert observation_spec("explicit_none").modalities["token_2d"].vocabularies == (37, 5, 41, 21)
    assert observation_spec("reference").modalities["token_2d"].vocabularies == (37, 5, 40, 21)


def test_a_cell_by_hand():
    cell = np.zeros((1, 83), np.float32)
    cell[0, [14, 37 + 2, 42 + 8 * 2 + 1, 82]] = 1, 1, 1, 0.35
    tokens = encode(with_cells(cell), "explicit_none")["token_2d"][0]
    np.testing.assert_array_equal(tokens[0], [14, 2, 17, 7])
    np.testing.assert_array_equal(tokens[1], [0, 0, 40, 0])


@pytest.mark.parametrize(("light", "token"), [(0, 0), (0.05, 1), (0.34, 7), (0.36, 7), (0.95, 19), (1, 20)])
def test_light_is_the_nearest_step(light, token):
    cell = np.zeros((1, 83), np.float32)
    cell[0, 82] = light
    assert encode(with_cells(cell), "explicit_none")["token_2d"][0, 0, 3] == token


def test_every_class_of_lit_cells_survives_both_ways():
    classes = np.array(list(itertools.product(range(37), range(5), range(41), range(1, 21))), np.uint8)
    count = -(-len(classes) // CELLS)
    cells = np.resize(classes, (count, CELLS, 4))
    observation = {
        "vector": np.zeros((count, 47), np.float32),
        "token": np.zeros((count, 1), np.uint8),
        "token_2d": cells,
    }
    np.testing.assert_array_equal(encode(decode(observation, "explicit_none"), "explicit_none")["token_2d"], cells)


def test_every_class_of_cells_that_craftax_shows_survives_both_ways():
    """Lit: any block and item, at most one mob. Dark: nothing."""
    blocks, items = np.eye(37), np.eye(5)
    mobs = np.concatenate([np.eye(40), np.zeros((1, 40))])
    lit = [np.concatenate([b, i, m, [1]]) for b, i, m in itertools.product(blocks, items, mobs)]
    numbers = with_cells(np.array([*lit, np.zeros(83)], np.float32))
    np.testing.assert_array_equal(decode(encode(numbers, "explicit_none"), "explicit_none"), numbers)


@pytest.mark.parametrize("mob_encoding", ["explicit_none", "reference"])
def test_the_numbers_beside_the_map_survive_both_ways(mob_encoding):
    numbers = with_cells(np.zeros((5 * CELLS, 83), np.float32))
    rest = numbers[:, -51:]
    rest[:] = np.random.default_rng(0).random(rest.shape)
    rest[:, 31:35] = np.eye(4)[[0, 1, 2, 3, 0]]
    observation = encode(numbers, mob_encoding)
    np.testing.assert_array_equal(observation["token"], [[0], [1], [2], [3], [0]])
    np.testing.assert_array_equal(observation["vector"], np.concatenate([rest[:, :31], rest[:, 35:]], axis=1))
    np.testing.assert_array_equal(decode(observation, mob_encoding), numbers)


def test_no_mob_has_its_own_token_only_in_the_explicit_encoding():
    cells = np.zeros((2, 83), np.float32)
    cells[:, [2, 37, 82]] = 1
    cells[1, 42] = 1  # the first melee mob
    numbers = with_cells(cells)
    assert encode(numbers, "explicit_none")["token_2d"][0, :2, 2].tolist() == [NO_MOB, 0]
    assert encode(numbers, "reference")["token_2d"][0, :2, 2].tolist() == [0, 0]


def test_mobs_other_than_the_first_are_the_same_in_both_encodings():
    cells = np.zeros((39, 83), np.float32)
    cells[:, [2, 37, 82]] = 1
    cells[:, 43:82] = np.eye(39)
    numbers = with_cells(cells)
    for encoding in ("explicit_none", "reference"):
        assert encode(numbers, encoding)["token_2d"][0, :39, 2].tolist() == list(range(1, 40))
        np.testing.assert_array_equal(decode(encode(numbers, encoding), encoding), numbers)


def test_the_first_of_several_mobs_in_a_cell_is_kept():
    cell = np.zeros((1, 83), np.float32)
    cell[0, [2, 37, 42 + 9, 42 + 30, 82]] = 1
    assert encode(with_cells(cell), "explicit_none")["token_2d"][0, 0, 2] == 9


def test_one_observation_and_a_batch_are_alike():
    numbers = with_cells(np.eye(83, dtype=np.float32)[:42])
    batch, single = encode(numbers, "explicit_none"), encode(numbers[0], "explicit_none")
    for name, spec in observation_spec("explicit_none").modalities.items():
        assert (single[name].shape, single[name].dtype.name) == (spec.shape, spec.dtype)
        np.testing.assert_array_equal(batch[name][0], single[name])
    np.testing.assert_array_equal(decode(single, "explicit_none"), decode(batch, "explicit_none")[0])
