import io
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from m3.files.tree import load_tree, save_tree

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
ARRAYS = hnp.arrays(
    hnp.integer_dtypes() | hnp.floating_dtypes(endianness="<") | st.just(np.dtype(bool)),
    hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
)
KEYS = st.text() | st.integers() | st.tuples(st.text(), st.integers())


def nested(leaves: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(leaves) | st.lists(leaves).map(tuple) | st.dictionaries(KEYS, leaves)


def round_trip(tree):
    file = io.BytesIO()
    save_tree(file, tree)
    file.seek(0)
    return load_tree(file)


def assert_same(left, right):
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert list(left) == list(right)
        left, right = left.values(), right.values()
    if isinstance(left, list | tuple | type({}.values())):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_same(*pair)
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right or (math.isnan(left) and math.isnan(right))


@settings(max_examples=150, deadline=None)
@given(st.recursive(SCALARS | ARRAYS, nested, max_leaves=12))
def test_every_tree_comes_back(tree):
    assert_same(round_trip(tree), tree)


def test_states_of_generators_come_back():
    states = {
        "numpy": np.random.default_rng(2**100).bit_generator.state,
        "mt19937": np.random.Generator(np.random.MT19937(0)).bit_generator.state,
        "python": random.Random(0).getstate(),
        "scalar": np.float32(0.1),
        "optimizer": {"state": {0: {"step": np.array(3.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]},
    }
    restored = round_trip(states)
    assert_same(restored, states)
    generator = random.Random(1)
    generator.setstate(restored["python"])
    assert generator.random() == random.Random(0).random()


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, np.array([None]), lambda: 0])
def test_what_it_cannot_hold_is_named(value):
    with pytest.raises(TypeError, match=r"tree\['agent'\]\[1\] is"):
        round_trip({"agent": [0, value]})
