"""SDEdit: the laws of our own loop; test_editing_reference.py holds its arithmetic to golden numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import keys
from sdedit_jax.editing import sdedit, sdedit_stream
from sdedit_jax.score import score
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral, DPMSolverSDE, ProbabilityFlow, time_grid
from tests.toys import Blur, GaussianNoise, blur_params

B, H, W = 3, 6, 4
FIELDS = dict(model=Blur(), sde=VESDE(), solver=Ancestral(), num_steps=6)
edit_blur = functools.partial(sdedit, blur_params(), **FIELDS)


def make_guide(batch_size=B):
    return jnp.sin(1.7 * jnp.arange(batch_size * H * W * 3.0)).reshape(batch_size, H, W, 3)


def make_mask():
    return (jnp.arange(H * W).reshape(1, H, W, 1) % 3 == 0).astype(jnp.float32)


def test_nothing_masked_is_the_guide_bit_for_bit(new_key):
    x = edit_blur(new_key(), make_guide(), jnp.zeros((1, H, W, 1)), 0.5, num_repeats=2)
    np.testing.assert_array_equal(x, make_guide())


@pytest.mark.parametrize("sde", [VESDE(), VPSDE(), DiscreteVPSDE()], ids=lambda sde: type(sde).__name__)
def test_unmasked_pixels_are_untouched(sde, new_key):
    mask, guide = make_mask(), make_guide()
    x = sdedit(blur_params(), new_key(), guide, mask, 0.5, **FIELDS | {"sde": sde})
    kept = np.broadcast_to(mask == 0.0, x.shape)
    np.testing.assert_array_equal(np.asarray(x)[kept], np.asarray(guide)[kept])
    assert (np.asarray(x)[~kept] != np.asarray(guide)[~kept]).all()


def test_a_picture_does_not_depend_on_its_batch(new_key):
    guide, mask, t0 = make_guide(), make_mask(), jnp.array([0.3, 0.5, 0.7])
    image_keys = keys.per_image(new_key(), B)
    together = edit_blur(jax.random.clone(image_keys), guide, mask, t0)
    order = np.array([2, 0, 1])
    shuffled = edit_blur(jax.random.clone(image_keys)[order], guide[order], mask, t0[order])
    np.testing.assert_array_equal(shuffled, together[order])
    for i in range(B):
        alone = edit_blur(jax.random.clone(image_keys)[i : i + 1], guide[i : i + 1], mask, t0[i])
        # Another batch size is another program: float32 rounding may differ, nothing else.
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


def test_one_key_is_folded_per_image(new_key):
    key, guide = new_key(), make_guide()
    x = edit_blur(jax.random.clone(key), guide, None, 0.5)
    np.testing.assert_array_equal(x, edit_blur(keys.per_image(key, B), guide, None, 0.5))


def test_equal_guides_get_different_pictures(new_key):
    x = edit_blur(new_key(), jnp.zeros((2, H, W, 3)), None, 0.5)
    assert jnp.abs(x[0] - x[1]).max() > 1e-3


def test_jit_is_no_jit(new_key):
    key, guide, mask = new_key(), make_guide(), make_mask()
    compiled = edit_blur(jax.random.clone(key), guide, mask, 0.5)
    plain = sdedit.__wrapped__(blur_params(), key, guide, mask, 0.5, **FIELDS)
    np.testing.assert_allclose(compiled, plain, atol=1e-5)  # fused differently: float32 rounding over six steps


def test_every_t0_shares_one_compilation(new_key):
    edit_blur(new_key(), make_guide(), None, 0.5)
    before = sdedit._cache_size()
    edit_blur(new_key(), make_guide(), None, 0.7)
    edit_blur(new_key(), make_guide(), None, jnp.asarray(0.123))
    assert sdedit._cache_size() - before <= 1  # a Python float and an array are told apart, their values are not


@pytest.mark.parametrize("sde", [VESDE(), VPSDE()], ids=["ve", "vp"])
def test_small_t0_returns_the_guide(sde, new_key):
    x = sdedit(blur_params(), new_key(), make_guide(), None, 1e-6, **FIELDS | {"sde": sde})
    noise = float(sde.sigma(jnp.asarray(1e-6)))
    # The denoised estimate differs from the guide by noise minus predicted noise, below 6 sigma here.
    np.testing.assert_allclose(x, make_guide(), atol=6 * noise)


def test_larger_t0_goes_farther_from_the_guide(new_key):
    t0 = jnp.array([0.1, 0.3, 0.5, 0.7])
    guide = jnp.tile(make_guide(1), (4, 8, 8, 1))
    x = edit_blur(new_key(), guide, None, t0)
    distance = jnp.square(x - guide).mean(axis=(1, 2, 3))
    assert (jnp.diff(distance) > 0).all()


def test_gaussian_data_stay_gaussian(new_key):
    """A guide drawn from the data and the exact score: the edit has the data's mean and std, at any t0."""
    mean, std = 0.3, 0.5
    guide = mean + std * jax.random.normal(new_key(), (3, 32, 32, 3))
    t0 = jnp.array([0.2, 0.5, 0.8])
    fields = dict(model=GaussianNoise(mean, std), sde=VESDE(), solver=Ancestral("small"), num_steps=200)
    x = sdedit({}, new_key(), guide, None, t0, **fields)
    n = guide[0].size
    np.testing.assert_allclose(x.mean(axis=(1, 2, 3)), mean, atol=5 * std / n**0.5)  # five standard errors
    # The posterior variance is exact for a point mass only: an O(1/N) deficit, below 2 % here, beside Monte Carlo.
    np.testing.assert_allclose(x.std(axis=(1, 2, 3)), std, rtol=5 / (2 * n) ** 0.5 + 0.02)


def test_repeats_compose(normal, new_key):
    """With the noise held fixed, two repeats are the edit of the edit."""
    normal.noise = jnp.sin(3.0 * jnp.arange(H * W * 3.0)).reshape(H, W, 3)
    guide, mask = make_guide(), make_mask()
    run = functools.partial(sdedit.__wrapped__, blur_params(), **FIELDS)
    once = run(new_key(), guide, mask, 0.5)
    twice = run(new_key(), once, mask, 0.5)
    np.testing.assert_allclose(run(new_key(), guide, mask, 0.5, num_repeats=2), twice, atol=1e-6)


def test_bool_and_float_masks_agree(new_key):
    key, guide = new_key(), make_guide()
    as_float = edit_blur(jax.random.clone(key), guide, make_mask(), 0.5)
    np.testing.assert_array_equal(edit_blur(key, guide, make_mask() > 0, 0.5), as_float)


def test_grey_mask_joins_when_its_time_comes(normal, new_key):
    """A mask that is m everywhere waits, noised, until t <= m t0, and from there is a plain edit."""
    normal.noise = jnp.zeros(())
    guide, t0 = make_guide(), 0.8
    times = time_grid(t0, 6, VESDE().t_min)
    x = sdedit.__wrapped__(blur_params(), new_key(), guide, jnp.full((1, H, W, 1), 0.5), t0, **FIELDS)
    first = int(np.argmax(times <= 0.5 * t0))
    x_joined = guide  # no noise, and VE keeps the scale
    score_fn = functools.partial(score, Blur(), blur_params(), VESDE())
    for t, t_next in zip(times[first - 1 :], times[first:], strict=False):
        x_joined = Ancestral().step(VESDE(), score_fn, None, x_joined, t, t_next)
    np.testing.assert_allclose(x, x_joined, atol=1e-5)
    full = sdedit.__wrapped__(blur_params(), new_key(), guide, None, t0, **FIELDS)
    assert jnp.abs(full - guide).mean() > jnp.abs(x - guide).mean()


@pytest.mark.parametrize(("num_steps", "num_repeats"), [(1, 1), (6, 2), (23, 1), (40, 1)])
@pytest.mark.parametrize("solver", [Ancestral(), DPMSolverSDE()], ids=str)
def test_stream_is_the_one_shot_bit_for_bit(solver, num_steps, num_repeats, new_key):
    key, guide, mask = new_key(), make_guide(), make_mask()
    fields = FIELDS | {"solver": solver, "num_steps": num_steps, "num_repeats": num_repeats}
    whole = sdedit(blur_params(), jax.random.clone(key), guide, mask, 0.5, **fields)
    progress = list(sdedit_stream(blur_params(), key, guide, mask, 0.5, **fields))
    np.testing.assert_array_equal(progress[-1].estimate(), whole)
    done = [p.steps_done for p in progress]
    assert done == sorted(set(done))
    assert len({later - earlier for earlier, later in zip([0, *done], done, strict=False)}) <= 2
    assert done[-1] == progress[0].steps_total == num_steps * num_repeats
    assert len(progress) >= num_repeats * min(10, num_steps // 2)
    kept = np.broadcast_to(mask == 0.0, guide.shape)
    np.testing.assert_array_equal(np.asarray(progress[0].estimate())[kept], np.asarray(guide)[kept])


def test_stream_s_estimates_approach_the_result(new_key):
    progress = list(
        sdedit_stream({}, new_key(), make_guide(), None, 0.7, **FIELDS | {"model": GaussianNoise(), "num_steps": 40})
    )
    result = progress[-1].estimate()
    distance = [float(jnp.square(p.estimate() - result).mean()) for p in progress]
    assert distance[0] > distance[len(distance) // 2] > distance[-2] > distance[-1] == 0.0


def test_works_in_the_user_s_own_jit_vmap_and_grad(new_key):
    guide, mask = make_guide(), make_mask()
    key = new_key()

    @jax.jit
    def sweep(params, t0):
        return jax.vmap(lambda t0: sdedit(params, key, guide, mask, t0, **FIELDS))(t0)

    x = sweep(blur_params(), jnp.array([0.3, 0.6]))
    np.testing.assert_allclose(x[1], edit_blur(jax.random.clone(key), guide, mask, 0.6), atol=1e-5)

    def brightness(params, guide):
        return sdedit(params, jax.random.clone(key), guide, mask, 0.5, **FIELDS).mean()

    grad_params, grad_guide = jax.grad(brightness, argnums=(0, 1))(blur_params(), guide)
    h = 1e-2
    slope = (brightness(blur_params(0.7 + h), guide) - brightness(blur_params(0.7 - h), guide)) / (2 * h)
    np.testing.assert_allclose(grad_params["gain"], slope, rtol=1e-2)  # central differences in float32
    assert jnp.isfinite(grad_guide).all()
    assert (jnp.abs(grad_guide[:, 0, 0]) > 0).all()


def test_deterministic_solver_still_hijacks_with_noise(new_key):
    fields = FIELDS | {"solver": ProbabilityFlow()}
    x = [sdedit(blur_params(), new_key(), make_guide(), None, 0.5, **fields) for _ in range(2)]
    assert jnp.abs(x[0] - x[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("guide", "mask", "t0", "message"),
    [
        (jnp.zeros((4, 4, 3)), None, 0.5, r"x_guide must be \(B, H, W, C\), got shape \(4, 4, 3\)"),
        (jnp.zeros((1, 4, 4, 3), jnp.uint8), None, 0.5, "x_guide must be float .* got uint8"),
        (jnp.zeros((2, 4, 4, 3)), jnp.ones((1, 4, 5, 1)), 0.5, r"mask must be \(1 or 2, 4, 4, 1\).*got \(1, 4, 5, 1\)"),
        (jnp.zeros((2, 4, 4, 3)), jnp.ones((2, 4, 4, 3)), 0.5, "mask must be"),
        (jnp.zeros((2, 4, 4, 3)), None, jnp.ones(3), r"t0 must be a scalar or .*\(2,\), got shape \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(guide, mask, t0, message, new_key):
    with pytest.raises(ValueError, match=message):
        edit_blur(new_key(), guide, mask, t0)


def test_keys_and_counts_that_do_not_fit_are_named(new_key):
    with pytest.raises(ValueError, match="one key or one per image"):
        edit_blur(jax.random.split(new_key(), 2), make_guide(), None, 0.5)
    with pytest.raises(ValueError, match="at least 1"):
        edit_blur(new_key(), make_guide(), None, 0.5, num_repeats=0)
