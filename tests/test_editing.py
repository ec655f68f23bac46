"""SDEdit: the reference's and the paper's arithmetic to their golden numbers, and the laws of our own loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sdedit_jax import keys
from sdedit_jax.editing import sdedit, sdedit_stream
from sdedit_jax.score import score
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral, DPMSolverSDE, ProbabilityFlow, time_grid
from tests.toys import Blur, GaussianNoise, blur_params

# The golden inputs: one image of three channels and 2 x 2 pixels, listed in NCHW order, and a mask with 1 = keep.
INDEX = np.arange(12.0)
IMAGE = (37.0 * INDEX % 100) / 100
KEEP = np.array([1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1], bool)


class Injected:
    """Takes the place of `keys.normal`: every draw is `noise`, which a loop sets anew before each step."""

    noise: jax.Array

    def __call__(self, key, shape, dtype=jnp.float32):
        return jnp.broadcast_to(self.noise, shape).astype(dtype)


@pytest.fixture
def normal(monkeypatch):
    injected = Injected()
    monkeypatch.setattr(keys, "normal", injected)
    return injected


def official_loop(normal, num_levels, num_repeats, keep):
    """SDEdit's released loop built from our SDE and our ancestral step; its own two rules are written out here.

    Those are: one noise e a repeat for the kept pixels, and their level that of the step's start, alpha_bar_i.
    """
    sde, solver = DiscreteVPSDE(), Ancestral("small")
    x0 = jnp.asarray(2.0 * IMAGE - 1.0)
    for repeat in range(num_repeats):
        e = jnp.sin(0.5 * INDEX + repeat + 0.1)

        def step(x, i, e=e, repeat=repeat, x0=x0):
            t = (i + 1.0) / 1000
            normal.noise = jnp.cos(0.7 * INDEX + 0.3 * i + 2 * repeat)
            score_fn = lambda x, t: -(0.3 * x + 0.001 * sde.noise_label(t)) / sde.sigma(t)  # noqa: E731
            x_edit = solver.step(sde, score_fn, None, x, t, i / 1000.0)
            x_keep = sde.alpha(t) * x0 + sde.sigma(t) * e
            return jnp.where(keep, x_keep, x_edit), None

        t0 = jnp.asarray(num_levels / 1000)
        x = sde.alpha(t0) * x0 + sde.sigma(t0) * e
        x, _ = lax.scan(step, x, jnp.arange(num_levels - 1.0, -1.0, -1.0))
        x0 = jnp.where(keep, x0, x)
    return x, x0


OFFICIAL = {
    (5, 1): "-0.9989516 -0.2398302 0.4760570 -0.7699644 -0.0313652 0.6907363 -0.5419548 0.1967188 0.9238953 -0.3372407 "
    "0.3907211 -0.8662702",
    (5, 2): "-0.9910372 -0.2450037 0.4752442 -0.7748055 -0.0395822 0.7073985 -0.5297074 0.1738111 0.8697668 -0.3844055 "
    "0.3981582 -0.8568413",
    (500, 1): "-0.9989516 -0.5811187 0.2598336 -0.7699644 -0.0313652 0.0177187 -1.1327721 -1.6593134 -1.9510077 "
    "-2.4811201 0.3907211 -0.8662702",
    (500, 2): "-0.9910372 0.2775454 0.2818933 -0.7748055 -0.0395822 -1.8232902 -2.5599523 -2.7273154 -2.4893968 "
    "-2.1334908 0.3981582 -0.8568413",
}


@pytest.mark.parametrize(("num_levels", "num_repeats"), OFFICIAL)
def test_official_loop_equals_its_golden_numbers(normal, num_levels, num_repeats):
    x, _ = official_loop(normal, num_levels, num_repeats, KEEP)
    golden = np.fromstring(OFFICIAL[num_levels, num_repeats], sep=" ")
    # The reference computes sqrt(1 - alpha_bar) in float32, 8e-5 off at index 0: 1e-6 to 1e-5 in the pixels.
    np.testing.assert_allclose(x, golden, atol=2e-5)


def test_official_loop_with_everything_editable(normal):
    x, _ = official_loop(normal, 500, 1, np.zeros(12, bool))
    golden = np.fromstring(
        "-1.5149407 -0.5811187 0.2598336 0.1723960 0.2950351 0.0177187 -1.1327721 -1.6593134 -1.9510077 -2.4811201 "
        "-1.9718564 -1.7941757",
        sep=" ",
    )
    np.testing.assert_allclose(x, golden, atol=2e-5)


def test_official_clean_picture_and_ours_keep_pixels_exact(normal, new_key):
    """What the reference returns is off by noise of 0.01 in the kept pixels; its x0, and our result, are exact."""
    x, x0 = official_loop(normal, 5, 2, KEEP)
    golden = np.fromstring(
        "-1 -0.2450037 0.4752442 -0.78 -0.04 0.7073985 -0.5297074 0.1738111 0.8697668 -0.3844055 0.4 -0.86", sep=" "
    )
    np.testing.assert_allclose(x0, golden, atol=2e-5)
    assert np.abs(x - x0)[KEEP].max() > 1e-3

    normal.noise = jnp.sin(1.3 * INDEX[:3]).reshape(1, 1, 1, 3)
    x_guide = jnp.asarray(2.0 * IMAGE - 1.0).reshape(1, 3, 2, 2).transpose(0, 2, 3, 1)
    mask = jnp.array([[[[0.0], [1.0]], [[1.0], [0.0]]]])
    fields = dict(model=Blur(), sde=DiscreteVPSDE(), solver=Ancestral("small"), num_steps=5)
    x_edit = sdedit.__wrapped__(blur_params(), new_key(), x_guide, mask, 0.005, **fields)
    np.testing.assert_array_equal(x_edit[0, [0, 1], [0, 1]], x_guide[0, [0, 1], [0, 1]])
    assert (x_edit[0, 0, 1] != x_guide[0, 0, 1]).all()


def paper_loop(normal, sde, image, score_fn, times, num_repeats, edit):
    """Algorithms 1, 3, 4 and 5 of the paper from our SDEs and our ancestral step.

    The paper's own rules, written out: one noise for both regions, the kept pixels at the level of the step's start,
    noise in the last step too.
    """
    x0 = x = jnp.asarray(image)
    for repeat in range(num_repeats):
        noise = jnp.sin(0.5 * INDEX + repeat + 0.1)
        x = sde.alpha(times[0]) * jnp.where(edit, x, x0) + sde.sigma(times[0]) * noise
        for n, (t, t_next) in zip(range(len(times) - 1, 0, -1), zip(times, times[1:], strict=False), strict=False):
            normal.noise = jnp.cos(0.7 * INDEX + 0.3 * n + 2 * repeat)
            x_edit = Ancestral("large").step(sde, score_fn, None, x, t, t_next)
            if t_next == 0.0:
                x_edit = x_edit + jnp.sqrt(sde.transition(t_next, t)[1]) * normal.noise
            x = jnp.where(edit, x_edit, sde.alpha(t) * x0 + sde.sigma(t) * normal.noise)
    return x


@pytest.mark.parametrize(
    ("edit", "num_repeats", "golden"),
    [
        (
            ~KEEP,
            2,
            "-0.0193208 0.2107541 0.5729613 0.1010879 0.4909607 1.4134998 0.8529716 0.4283213 -0.0807845 -0.8214213 "
            "0.6712272 0.0456684",
        ),
        (
            np.ones(12, bool),
            1,
            "0.6748115 0.5071013 0.3553079 -0.2251219 0.1861163 0.8304609 0.8172522 1.2381290 1.2930344 0.3655500 "
            "0.0090417 -0.8189265",
        ),
    ],
    ids=["algorithm 3", "algorithm 1"],
)
def test_paper_ve_algorithms(normal, edit, num_repeats, golden):
    sde = VESDE(0.01, 50.0)  # in [0, 1] units, as the paper has it
    times = jnp.asarray(0.5 * np.arange(4, -1, -1) / 4)
    score_fn = lambda x, t: -(x - 0.5) / (1.0 + sde.sigma(t) ** 2)  # noqa: E731
    x = paper_loop(normal, sde, IMAGE, score_fn, times, num_repeats, edit)
    np.testing.assert_allclose(x, np.fromstring(golden, sep=" "), rtol=1e-5, atol=1e-6)  # float32 against float64


@pytest.mark.parametrize(
    ("edit", "num_repeats", "golden"),
    [
        (
            ~KEEP,
            2,
            "-1.1281397 1.3568174 4.5814993 -0.8302589 0.0495524 2.2531086 -2.2464971 -5.8433169 -7.3228613 -6.3167231 "
            "0.1567279 -1.0324581",
        ),
        (
            np.ones(12, bool),
            1,
            "-2.8806053 -3.5976493 -2.4037469 -0.3732656 3.0030481 5.3838170 4.7860471 2.6524810 -0.9475974 -5.1988732 "
            "-6.7851668 -6.4340970",
        ),
    ],
    ids=["algorithm 5", "algorithm 4"],
)
def test_paper_vp_algorithms(normal, edit, num_repeats, golden):
    """The paper's product of 1 - beta(n t0 / N) dt over ten steps is a DDPM chain of ten linear betas."""
    dt = 0.05
    sde = DiscreteVPSDE((0.1 + 19.9 * dt) * dt, (0.1 + 19.9 * 0.5) * dt, num_levels=10)
    times = jnp.asarray(np.arange(10, -1, -1) / 10)
    x = paper_loop(normal, sde, 2 * IMAGE - 1, lambda x, t: -(0.3 * x + 0.01), times, num_repeats, edit)
    np.testing.assert_allclose(x, np.fromstring(golden, sep=" "), rtol=1e-5, atol=1e-5)  # float32 against float64


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
