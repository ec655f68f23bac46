import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import metrics, tuning
from sdedit_jax.editing import sdedit
from sdedit_jax.parallel import pmap_batch
from sdedit_jax.sdes import VESDE
from sdedit_jax.solvers import Ancestral
from tests.toys import GaussianNoise

SHAPE = (8, 8, 3)
FIELDS = {"model": GaussianNoise(), "sde": VESDE(0.02, 20.0), "solver": Ancestral(), "num_steps": 4}
EDIT = functools.partial(sdedit, **FIELDS)
T0S = (0.2, 0.5, 0.9)
# A batch of another size is compiled into sums of another order: a few roundings of values below 1.
ROUNDING = 1e-5


def guides(count=1, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def left_half():
    mask = np.zeros((1, *SHAPE[:2], 1), np.float32)
    mask[:, :, :4] = 1.0
    return mask


@pytest.mark.parametrize("masks", [None, left_half(), np.concatenate([left_half(), 1 - left_half()])])
def test_a_sweep_is_the_edits_one_by_one(masks, new_key):
    key, x_guide = new_key(), guides(2)
    swept = tuning.sweep({}, key, x_guide, masks, T0S, edit_fn=EDIT)
    assert swept.shape == (3, 2, *SHAPE)
    for t0, x_edit in zip(T0S, swept, strict=True):
        np.testing.assert_allclose(x_edit, EDIT({}, jax.random.clone(key), x_guide, masks, t0), atol=ROUNDING)


def linear_edit(params, key, x_guide, mask, t0):
    """An edit whose L2 is t0 times `params`, whatever the guide."""
    per_value = 2.0 * params / np.sqrt(np.prod(SHAPE)) * jnp.asarray(t0)
    return x_guide + per_value[:, None, None, None]


@pytest.mark.parametrize("target", [0.02, 0.31, 0.5, 0.7772, 0.99])
@pytest.mark.parametrize(("num_candidates", "num_rounds"), [(8, 2), (8, 1), (2, 5), (5, 3)])
def test_the_largest_t0_is_found_to_the_resolution(target, num_candidates, num_rounds, new_key):
    resolution = 1 / (num_candidates * (num_candidates + 1) ** (num_rounds - 1))
    choose = functools.partial(
        tuning.choose_t0, edit_fn=linear_edit, num_candidates=num_candidates, num_rounds=num_rounds
    )
    x_guide = np.zeros((1, *SHAPE), np.float32)
    if target < resolution:
        with pytest.raises(ValueError, match=rf"No t0 keeps the edit within an L2 of {target}: at {resolution:.2g}"):
            choose(1.0, new_key(), x_guide, None, target)
        return
    chosen = choose(1.0, new_key(), x_guide, None, target)
    assert chosen.t0 <= target + 1e-6 and target - chosen.t0 < resolution + 1e-6  # of float32's distance
    np.testing.assert_allclose(chosen.l2, chosen.t0, rtol=1e-5)
    np.testing.assert_allclose(tuning.l2(chosen.x_edit, x_guide), chosen.l2, rtol=1e-6)


@pytest.mark.parametrize("num_candidates", [2, 7, 49])  # 49 * (1 / 49) is less than 1
def test_a_target_that_every_edit_meets_gives_1_after_one_round(num_candidates, new_key):
    calls = []

    def counted(*args):
        calls.append(args)
        return linear_edit(*args)

    x_guide = np.zeros((1, *SHAPE), np.float32)
    chosen = tuning.choose_t0(
        1.0, new_key(), x_guide, None, 1.5, edit_fn=counted, num_candidates=num_candidates, num_rounds=4
    )
    assert chosen.t0 == 1.0 and len(calls) == 1


def test_the_edit_is_that_of_the_chosen_t0(new_key):
    key, x_guide, mask = new_key(), guides(), left_half()
    far = float(tuning.l2(EDIT({}, key, x_guide, mask, 1.0), x_guide)[0])
    target = 0.7 * far
    chosen = tuning.choose_t0({}, jax.random.clone(key), x_guide, mask, target, edit_fn=EDIT)
    assert 0.0 < chosen.t0 < 1.0 and chosen.l2 <= target
    again = EDIT({}, jax.random.clone(key), x_guide, mask, chosen.t0)
    np.testing.assert_allclose(chosen.x_edit, again, atol=ROUNDING)
    np.testing.assert_array_equal(chosen.x_edit[:, :, 4:], x_guide[:, :, 4:])
    beyond = EDIT({}, jax.random.clone(key), x_guide, mask, chosen.t0 + 1 / 72)
    assert tuning.l2(beyond, x_guide)[0] > target


def test_on_all_devices_it_chooses_the_same(new_key):
    key, x_guide = new_key(), guides()
    target = 0.7 * float(tuning.l2(EDIT({}, key, x_guide, None, 1.0), x_guide)[0])
    choose = functools.partial(tuning.choose_t0, {}, x_guide=x_guide, mask=None, target_l2=target)
    one = choose(jax.random.clone(key), edit_fn=EDIT)
    every = choose(jax.random.clone(key), edit_fn=pmap_batch(EDIT))
    assert one.t0 == every.t0
    np.testing.assert_allclose(one.x_edit, every.x_edit, atol=ROUNDING)


def test_l2_is_that_of_the_metrics():
    x_1, x_2 = 1.2 * guides(3, seed=1), guides(3, seed=2)
    # Sums of 192 squares in float32 here, in float64 there.
    np.testing.assert_allclose(tuning.l2(x_1, x_2), metrics.l2(x_1, x_2), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x_guide": guides(2)}, r"x_guide must be one picture, \(1, H, W, C\), got shape \(2, 8, 8, 3\)"),
        ({"x_guide": guides()[0]}, r"x_guide must be one picture, \(1, H, W, C\), got shape \(8, 8, 3\)"),
        ({"target_l2": 0.0}, "target_l2 must be more than 0, got 0.0"),
        ({"target_l2": float("nan")}, "target_l2 must be more than 0, got nan"),
        ({"target_l2": 1e-6}, "No t0 keeps the edit within an L2 of 1e-06: at 0.014 it is .* Ask for more"),
        ({"num_candidates": 1}, "num_candidates must be 2 or more, num_rounds 1 or more: got 1, 2"),
        ({"num_rounds": 0}, "num_candidates must be 2 or more, num_rounds 1 or more: got 8, 0"),
    ],
)
def test_what_cannot_be_chosen_is_said(wrong, message, new_key):
    arguments = {"x_guide": guides(), "mask": None, "target_l2": 1.0} | wrong
    with pytest.raises(ValueError, match=message):
        tuning.choose_t0({}, new_key(), edit_fn=EDIT, **arguments)
