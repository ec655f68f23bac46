"""Trees and their flat form say the same thing."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdedit_jax import trees

NAMES = st.text("abc", min_size=1, max_size=2)
TREES = st.dictionaries(
    NAMES, st.recursive(st.integers(), lambda x: st.dictionaries(NAMES, x, min_size=1), max_leaves=9)
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(TREES)
def test_unflatten_is_the_inverse_of_flatten(tree):
    assert trees.unflatten(trees.flatten(tree)) == tree


def test_leaves_are_named_through_any_container():
    state = {"opt": (optax.EmptyState(), optax.TraceState(trace={"w": 1})), "step": 2}
    assert trees.flatten(state) == {"opt/1/trace/w": 1, "step": 2}


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c")])
def test_a_name_cannot_run_through_a_leaf(names):
    with pytest.raises(ValueError, match="leaf"):
        trees.unflatten(dict.fromkeys(names, 0))


def test_equal_trees_have_no_differences_whatever_their_containers():
    named = optax.TraceState(trace={"w": jnp.zeros((2, 3))})
    assert trees.differences(named, {"trace": {"w": np.zeros((2, 3), np.float32)}}) == []


def test_every_difference_is_one_line():
    found = {"same": np.zeros(1), "shape": np.zeros((2, 3)), "dtype": np.zeros(2, np.float32), "more": np.zeros(())}
    wanted = {"same": np.zeros(1), "shape": np.zeros((3, 2)), "dtype": np.zeros(2), "less": np.zeros(4)}
    assert trees.differences(found, wanted) == [
        "missing less: (4,) float64",
        "left over more: () float64",
        "dtype: wanted (2,) float64, found (2,) float32",
        "shape: wanted (3, 2) float64, found (2, 3) float64",
    ]


def test_a_listing_is_cut_at_its_limit():
    assert trees.listing(["a", "b"], limit=2) == "\n  a\n  b"
    assert trees.listing(["a", "b", "c"], limit=2) == "\n  a\n  b\n  and 1 more"


def test_lists_become_tuples_at_every_depth():
    assert trees.tuples({"a": [1, [2, {"b": [3]}]], "c": "text", "d": None}) == {
        "a": (1, (2, {"b": (3,)})),
        "c": "text",
        "d": None,
    }
