"""The SDEs against their closed forms, against each other, and against score_sde's numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE

CONTINUOUS = [VPSDE(), SubVPSDE(), VESDE()]
ALL = [*CONTINUOUS, DiscreteVPSDE(), VESDE(num_levels=1000)]
T = jnp.array([0.3, 0.7])
X = jnp.sin(jnp.arange(8.0) + 0.5).reshape(2, 2, 2, 1)

by_name = pytest.mark.parametrize("sde", ALL, ids=lambda sde: f"{type(sde).__name__}{getattr(sde, 'num_levels', '')}")


# score_sde (torch, float32) at t = 0.3 and 0.7; its VE sigmas are in [0, 1] units, where the formulas are the same.
@pytest.mark.parametrize(
    ("sde", "g", "std"),
    [
        (VESDE(0.01, 50.0), [0.5313177, 16.0303211], [0.1287333, 3.8839977]),
        (VPSDE(), [2.4637370, 3.7456641], [0.7769600, 0.9964360]),
        (SubVPSDE(), [2.2619736, 3.7455695], [0.6036668, 0.9928846]),
    ],
    ids=["ve", "vp", "subvp"],
)
def test_diffusion_and_std_equal_the_reference(sde, g, std):
    np.testing.assert_allclose(sde.diffusion(T), g, rtol=2e-6)  # float32 algebra
    np.testing.assert_allclose(sde.sigma(T), std, rtol=2e-6)


def test_vp_mean_equals_the_reference():
    mean, _ = VPSDE().marginal_prob(X, T)
    np.testing.assert_allclose(mean[:, 0, :, 0], [[0.3018223, 0.6279730], [-0.0824572, -0.0595141]], rtol=2e-6)


@pytest.mark.parametrize(
    ("sigma_max", "num_levels", "index", "sigma"),
    [
        (50.0, 1000, [0, 1, 2, 499, 999], [0.01, 0.0100856, 0.0101720, 0.7040989, 50.0]),
        (378.0, 2000, [0, 1, 1000, 1999], [0.01, 0.0100529, 1.9493548, 378.0]),
        (380.0, 2000, [0, 1, 1000, 1999], [0.01, 0.0100529, 1.9545069, 380.0]),
        (348.0, 2000, [0, 1, 1000, 1999], [0.01, 0.0100525, 1.8703619, 348.0]),
        (1348.0, 2000, [0, 1, 1000, 1999], [0.01, 0.0100593, 3.6823740, 1348.0]),
    ],
)
def test_ve_levels_equal_the_reference_table(sigma_max, num_levels, index, sigma):
    sde = VESDE(0.01, sigma_max, num_levels)
    t = sde.quantize((jnp.array(index) + 0.5) / num_levels)
    np.testing.assert_allclose(sde.sigma(t), sigma, rtol=1e-5)  # the table has six or seven digits
    np.testing.assert_allclose(sde.noise_label(t), num_levels - 1.0 - np.array(index), atol=2e-4)


@pytest.mark.parametrize(
    ("sigma_max", "values"),
    [
        (348.0, [0.2304, 0.38864, 1.10589, 1.86548, 5.3082]),
        (378.0, [0.23618, 0.40006, 1.14781, 1.94422, 5.57821]),
        (380.0, [0.23656, 0.4008, 1.15054, 1.94936, 5.5959]),
        (1348.0, [0.34587, 0.6243, 2.03404, 3.67151, 11.96228]),
    ],
)
def test_ve_sigma_at_the_paper_s_t0(sigma_max, values):
    t0 = jnp.array([0.30, 0.35, 0.45, 0.5, 0.6])
    np.testing.assert_allclose(VESDE(0.01, sigma_max).sigma(t0), values, rtol=3e-5)  # printed with 5 digits


def test_discrete_vp_is_the_ddpm_table():
    """SDEdit's official schedule: index, beta, alpha_bar, sqrt(1 - alpha_bar)."""
    rows = np.array(
        [
            [0, 9.99999975e-05, 0.999899983, 0.01000083],
            [1, 1.19919918e-04, 0.999780059, 0.01483041],
            [2, 1.39839845e-04, 0.999640286, 0.01896613],
            [99, 2.07207212e-03, 0.897017956, 0.32090816],
            [199, 4.06406401e-03, 0.659038544, 0.58391905],
            [299, 6.05605589e-03, 0.396419704, 0.77690428],
            [399, 8.04804824e-03, 0.195146412, 0.89713627],
            [499, 1.00400401e-02, 0.0785872489, 0.95990247],
            [599, 1.20320320e-02, 0.0258793849, 0.98697549],
            [999, 1.99999996e-02, 4.03582999e-05, 0.99997985],
        ]
    )
    sde, index = DiscreteVPSDE(), rows[:, 0]
    t = jnp.asarray((index + 1) / 1000)
    scale, var = sde.transition(jnp.asarray(index / 1000), t)
    np.testing.assert_allclose(sde.noise_label(t), index, atol=1e-6)
    np.testing.assert_allclose(sde.alpha(t) ** 2, rows[:, 2], rtol=3e-6)  # the reference sums in float32
    # sqrt(1 - alpha_bar) of the reference cancels at index 0: off by 8e-5 there.
    np.testing.assert_allclose(sde.sigma(t), rows[:, 3], rtol=1e-4)
    # Our variance is a difference of two sigmas squared: absolute float32 error 1e-7.
    np.testing.assert_allclose(var, rows[:, 1], rtol=1e-4, atol=2e-7)
    np.testing.assert_allclose(1.0 / scale, 1.0 / np.sqrt(1.0 - rows[:, 1]), rtol=1e-6)


def test_discrete_vp_posterior_variance_is_fixedsmall():
    """exp(logvar / 2) of DDPM's "fixedsmall" at indices 1, 99, 499, 999."""
    sde, index = DiscreteVPSDE(), np.array([1, 99, 499, 999])
    t, s = jnp.asarray((index + 1) / 1000), jnp.asarray(index / 1000)
    std = sde.sigma(s) / sde.sigma(t) * jnp.sqrt(sde.transition(s, t)[1])
    # The reference's index 1 carries the same cancellation as its sqrt(1 - alpha_bar).
    np.testing.assert_allclose(std, [7.38457017e-03, 4.51064991e-02, 1.00156654e-01, 1.41421298e-01], rtol=2e-4)


@by_name
def test_starts_as_the_picture(sde):
    assert sde.alpha(jnp.array(0.0)) == 1.0
    assert sde.sigma(jnp.array(0.0)) == 0.0


@by_name
def test_transitions_compose(sde):
    """p(x_u | x_s) is p(x_u | x_t) after p(x_t | x_s)."""
    s, t, u = jnp.array(0.2), jnp.array(0.5), jnp.array(0.9)
    scale_st, var_st = sde.transition(s, t)
    scale_tu, var_tu = sde.transition(t, u)
    scale_su, var_su = sde.transition(s, u)
    np.testing.assert_allclose(scale_su, scale_st * scale_tu, rtol=1e-5)
    np.testing.assert_allclose(var_su, scale_tu**2 * var_st + var_tu, rtol=1e-5)


@by_name
def test_transition_from_zero_is_the_marginal(sde):
    t = jnp.array([0.1, 0.6, 1.0])
    scale, var = sde.transition(jnp.zeros(3), t)
    np.testing.assert_allclose(scale, sde.alpha(t), rtol=1e-6)
    np.testing.assert_allclose(var, sde.sigma(t) ** 2, rtol=1e-6)


@pytest.mark.parametrize("sde", CONTINUOUS, ids=lambda sde: type(sde).__name__)
def test_moments_obey_the_sde(sde):
    """d alpha / dt is the drift's, and d sigma^2 / dt = 2 f' sigma^2 + g^2, in float64 by central differences."""
    with jax.enable_x64(True):
        t, h = jnp.linspace(0.05, 0.95, 19, dtype=jnp.float64), 1e-5
        rate = sde.drift(jnp.ones((19, 1, 1, 1), jnp.float64), t)[:, 0, 0, 0]
        d_alpha = (sde.alpha(t + h) - sde.alpha(t - h)) / (2 * h)
        d_var = (sde.sigma(t + h) ** 2 - sde.sigma(t - h) ** 2) / (2 * h)
        np.testing.assert_allclose(d_alpha, rate * sde.alpha(t), rtol=1e-7, atol=1e-9)  # O(h^2)
        np.testing.assert_allclose(d_var, 2 * rate * sde.sigma(t) ** 2 + sde.diffusion(t) ** 2, rtol=1e-7)


@by_name
def test_time_of_inverts_noise_to_signal(sde):
    t = jnp.linspace(0.05, 0.95, 7)
    np.testing.assert_allclose(sde.time_of(sde.sigma(t) / sde.alpha(t)), t, rtol=2e-5)


def test_time_of_clips_to_the_sde_s_range():
    for sde in CONTINUOUS:
        t = sde.time_of(jnp.array([1e-9, 1e9]))
        assert 0.0 <= t[0] < 1e-3
        assert t[1] == 1.0


def test_discrete_quantize_hits_every_level_evenly():
    for sde in (DiscreteVPSDE(num_levels=10), VESDE(num_levels=10)):
        t = sde.quantize((jnp.arange(100.0) + 0.5) / 100)
        levels, counts = np.unique(np.asarray(t), return_counts=True)
        assert len(levels) == 10
        np.testing.assert_array_equal(counts, 10)


@by_name
def test_perturb_has_the_marginal_s_moments(sde, new_key):
    x, t = jnp.full((1, 64, 64, 4), 0.5), jnp.array(0.4)
    mean, std = sde.marginal_prob(x, t)
    x_t = sde.perturb(new_key(), x, t)
    n = x.size
    np.testing.assert_allclose(x_t.mean(), mean.mean(), atol=5 * float(std) / n**0.5)  # five standard errors
    np.testing.assert_allclose(x_t.std(), std, rtol=5 / (2 * n) ** 0.5)


def test_prior_has_the_sde_s_scale(new_key):
    for sde, std in ((VPSDE(), 1.0), (SubVPSDE(), 1.0), (DiscreteVPSDE(), 1.0), (VESDE(0.02, 756.0), 756.0)):
        np.testing.assert_allclose(sde.prior(new_key(), (1, 64, 64, 3)).std(), std, rtol=5 / (2 * 12288) ** 0.5)


def test_noise_labels():
    np.testing.assert_allclose(VPSDE().noise_label(T), 999.0 * T, rtol=1e-6)
    np.testing.assert_allclose(SubVPSDE().noise_label(T), 999.0 * T, rtol=1e-6)
    # In [-1, 1] units sigma doubles; the published networks were told the [0, 1] one.
    np.testing.assert_allclose(VESDE(0.02, 756.0).noise_label(T), VESDE(0.01, 378.0).sigma(T), rtol=1e-6)


@by_name
def test_a_label_tells_its_time(sde):
    t = jnp.linspace(0.05, 0.95, 7)
    np.testing.assert_allclose(sde.time_of_label(sde.noise_label(t)), t, rtol=2e-5)  # VE: a logarithm in float32


@pytest.mark.parametrize("sde", [DiscreteVPSDE(num_levels=20), VESDE(num_levels=20)], ids=lambda s: type(s).__name__)
def test_a_level_tells_its_time(sde):
    t = sde.quantize((jnp.arange(20.0) + 0.5) / 20)
    np.testing.assert_allclose(sde.time_of_label(sde.noise_label(t)), t, atol=1e-6)  # float32 in levels of size 1


@by_name
def test_denoise_with_the_exact_score_is_the_posterior_mean(sde):
    """Data N(m, s^2): E[x_0 | x_t] is the regression of x_0 on x_t."""
    m, s, t = 0.3, 0.5, jnp.array(0.5)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    var_t = (alpha * s) ** 2 + sigma**2
    expected = m + alpha * s**2 / var_t * (X - alpha * m)
    np.testing.assert_allclose(sde.denoise(X, (alpha * m - X) / var_t, t), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sde", "field", "bad"),
    [
        (VESDE, "sigma_min", [-1.0, 0.0, 100.0, 200.0, math.nan]),  # sigma_max is 100
        (VESDE, "sigma_max", [-1.0, 0.02, 1e10, math.nan, math.inf, 10**400]),
        (VESDE, "num_levels", [-3, 0, 1, 10**13, True, 10.0]),
        (VPSDE, "beta_min", [-0.1, 20.1, math.nan]),
        (VPSDE, "beta_max", [-1.0, 0.0, 1e4, math.nan, math.inf]),
        (SubVPSDE, "beta_min", [-0.1]),
        (DiscreteVPSDE, "beta_start", [-1e-4, 0.0, 0.03, math.nan]),
        (DiscreteVPSDE, "beta_end", [-1.0, 0.0, 1e-5, 1.0, 3.0, math.nan]),
        (DiscreteVPSDE, "num_levels", [-3, 0, 1, 10**13, 10.0]),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_what_describes_no_noise_is_refused(sde, field, bad):
    for value in bad:
        with pytest.raises(ValueError, match=r"(sigma|beta|num)_\w+ must be .*(from 2 to|[\[(]0, )") as error:
            sde(**{field: value})
        assert field in str(error.value) and str(value) in str(error.value)


def test_the_ends_of_the_ranges():
    """Finite and moving at both ends of every range, in float32."""
    for sde in (
        VESDE(1e-6, 1e9, num_levels=2),
        VESDE(num_levels=1_000_000),
        VPSDE(0.0, 20.0),
        VPSDE(5.0, 5.0),
        SubVPSDE(0.0, 5.0),
        DiscreteVPSDE(0.02, 0.02, num_levels=2),
        DiscreteVPSDE(1e-4, 0.999),
    ):
        scale, variance = sde.transition(jnp.array([0.0, 0.5]), jnp.array([0.5, 1.0]))
        assert np.isfinite(scale).all() and np.isfinite(variance).all() and (variance > 0.0).all(), sde
