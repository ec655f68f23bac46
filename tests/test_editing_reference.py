"""SDEdit's official loop and the paper's algorithms to their golden numbers, built from our SDEs and our step."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sdedit_jax.editing import sdedit
from sdedit_jax.sdes import VESDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral
from tests.toys import Blur, blur_params

# The golden inputs: one image of three channels and 2 x 2 pixels, listed in NCHW order, and a mask with 1 = keep.
INDEX = np.arange(12.0)
IMAGE = (37.0 * INDEX % 100) / 100
KEEP = np.array([1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1], bool)


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
