"""One step is closed-form arithmetic on a state; many reach the least loss that there is."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax.build import init_params
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise
from sdedit_jax.models import EDMPreconditioned
from sdedit_jax.sdes import VESDE
from sdedit_jax.training import TrainStep, init_state
from tests.toys import Blur
from tests.training.networks import NoGradient

SDE = VESDE(0.02, 10.0)
SHAPE = (8, 4, 4, 3)


class Affine(nn.Module):
    """eps = a x + b: what the noise prediction is for Gaussian data at one noise level."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        a, b = (self.param(name, nn.initializers.zeros, ()) for name in "ab")
        return a * x + b


class Centred(nn.Module):
    """Two gains on what sets a picture apart from its batch, so that its gradient depends on who that is."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        a, b = (self.param(name, nn.initializers.ones, ()) for name in "ab")
        apart = x - x.mean(axis=0, keepdims=True)
        return a * jnp.tanh(apart) + b * apart


class Masked(nn.Module):
    """A weight for each value of a picture, of which dropout hides half."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        weights = self.param("weights", nn.initializers.ones, x.shape[1:])
        return nn.Dropout(0.5, deterministic=not train)(jnp.broadcast_to(weights[None], x.shape))


class PixelNetwork(nn.Module):
    """Two hidden layers on each value of a picture and on log sigma."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        log_sigma = jnp.broadcast_to(jnp.log(noise_label)[:, None, None, None], x.shape)
        h = jnp.stack([x, log_sigma], axis=-1)
        for _ in range(2):
            h = nn.silu(nn.Dense(32)(h))
        return nn.Dense(1)(h)[..., 0]


def first_state(model, tx, key):
    return init_state(init_params(model, key, SHAPE[1]), tx)


def step_of(loss_fn, tx, **fields):
    """A compiled step, called as step(state, key, x0)."""
    return jax.jit(TrainStep(loss_fn, tx, **{"ema_decay": 0.5} | fields))


def test_the_average_follows_the_params_faster_at_the_start(new_key):
    """ema_n = d ema + (1 - d) params, d = min(decay, (1 + n) / (10 + n)), against NumPy in double precision."""
    loss_fn, tx, key = DenoisingScoreMatching(Blur(), SDE), optax.adam(1e-2), new_key()
    step, state = step_of(loss_fn, tx), first_state(Blur(), tx, new_key())
    assert state.ema_params == state.params
    ema = float(state.params["gain"])
    for n in range(16):
        state, _ = step(state, jax.random.clone(key), jax.random.normal(new_key(), SHAPE))
        decay = min(0.5, (1 + n) / (10 + n))
        ema = decay * ema + (1 - decay) * float(state.params["gain"])
        assert int(state.step) == n + 1
        np.testing.assert_allclose(state.ema_params["gain"], ema, rtol=16 * 2.0**-23)  # a rounding each step


def test_every_step_draws_other_noise(new_key):
    loss_fn, tx = DenoisingScoreMatching(Blur(), SDE), optax.sgd(0.0)
    step, key, state, losses = step_of(loss_fn, tx), new_key(), first_state(Blur(), tx, new_key()), []
    for _ in range(3):
        state, metrics = step(state, jax.random.clone(key), jnp.ones(SHAPE))
        losses.append(float(metrics["loss"]))
    assert len(set(losses)) == 3


@pytest.mark.parametrize(("model", "bad"), [(Blur(), np.nan), (NoGradient(), 0.5), (Affine(), 1e30)])
def test_a_step_without_a_finite_loss_and_gradient_counts_and_changes_nothing(new_key, model, bad):
    tx, key = optax.adam(1e-2), new_key()
    step, state = step_of(DenoisingScoreMatching(model, SDE), tx), first_state(model, tx, new_key())
    # A state with moments and an average of its own, which zeros would not tell from a fresh start.
    state = jax.tree.map(lambda leaf: leaf + jnp.ones((), leaf.dtype), state).replace(params=state.params)
    found, metrics = step(state, key, jnp.full(SHAPE, bad))
    assert metrics["skipped"] == 1.0
    assert not np.isfinite([metrics["loss"], metrics["grad_norm"]]).all()
    jax.tree.map(np.testing.assert_array_equal, found, state.replace(step=state.step + 1))


def test_a_finite_step_is_not_skipped(new_key):
    tx = optax.adam(1e-2)
    state = first_state(Blur(), tx, new_key())
    found, metrics = step_of(DenoisingScoreMatching(Blur(), SDE), tx)(state, new_key(), jnp.ones(SHAPE))
    assert metrics["skipped"] == 0.0
    assert found.params["gain"] != state.params["gain"]


@pytest.mark.parametrize("ema_decay", [-0.1, 1.0, np.nan])
def test_an_average_that_never_moves_or_forgets_too_much_is_refused(ema_decay):
    with pytest.raises(ValueError, match=rf"ema_decay must be in \[0, 1\), got {ema_decay}"):
        TrainStep(DenoisingScoreMatching(Blur(), SDE), optax.sgd(1.0), ema_decay)


def gradient_by_parts(loss_fn, params, key, x0, num_parts):
    """Mean loss and mean gradient over rows 0, K, 2K, ..., rows 1, K + 1, ..., and so on, each a batch of its own."""
    t, z, _ = loss_fn.draw(key, x0)

    @jax.value_and_grad
    def part_loss(params, i):
        return loss_fn.per_image(params, x0[i::num_parts], t[i::num_parts], z[i::num_parts]).mean()

    found = [part_loss(params, i) for i in range(num_parts)]
    return jax.tree.map(lambda *values: np.mean(values), *found)


@pytest.mark.parametrize("num_parts", [1, 2, 4])
def test_the_gradient_of_a_batch_in_parts_is_the_mean_of_theirs(new_key, num_parts):
    """Clipped as a whole: the step of plain gradient descent at rate 1 is g min(1, c / |g|)."""
    clip, key, x0 = 0.01, new_key(), jax.random.normal(new_key(), SHAPE)
    loss_fn, tx = DenoisingScoreMatching(Centred(), SDE), optax.chain(optax.clip_by_global_norm(clip), optax.sgd(1.0))
    state = first_state(Centred(), tx, new_key())
    found, metrics = step_of(loss_fn, tx, num_microbatches=num_parts)(state, jax.random.clone(key), x0)
    loss, gradient = gradient_by_parts(loss_fn, state.params, jax.random.fold_in(key, 0), x0, num_parts)
    norm = np.hypot(*gradient.values())
    assert norm > 10 * clip
    np.testing.assert_allclose([metrics["loss"], metrics["grad_norm"]], [loss, norm], rtol=1e-5)  # float32 sums
    for name, g in gradient.items():
        # Differences of numbers of order 1 in float32.
        np.testing.assert_allclose(state.params[name] - found.params[name], g * clip / norm, rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize("num_parts", [1, 4])
def test_adam_s_first_step_on_a_batch_in_parts(new_key, num_parts):
    """m = (1 - b1) g and v = (1 - b2) g^2 without their bias are g and g^2: the step is rate * g / (|g| + 1e-8)."""
    key, x0, rate = new_key(), jax.random.normal(new_key(), SHAPE), 0.5
    loss_fn, tx = DenoisingScoreMatching(Blur(), SDE), optax.adam(rate)
    state = first_state(Blur(), tx, new_key())
    found, _ = step_of(loss_fn, tx, num_microbatches=num_parts)(state, jax.random.clone(key), x0)
    _, gradient = gradient_by_parts(loss_fn, state.params, jax.random.fold_in(key, 0), x0, 1)
    (adam, _), g = found.opt_state, gradient["gain"]
    np.testing.assert_allclose(adam.mu["gain"], 0.1 * g, rtol=1e-5)
    np.testing.assert_allclose(adam.nu["gain"], 0.001 * g**2, rtol=1e-4)  # 1 - 0.999 in float32
    np.testing.assert_allclose(found.params["gain"] - state.params["gain"], -rate * np.sign(g), rtol=1e-4)


def test_every_part_of_a_batch_has_dropout_of_its_own(new_key):
    """A weight that one of two masks shows has a gradient: 3 of 4, where one mask for both would show 1 of 2."""
    tx, size = optax.sgd(1.0), 32
    state = init_state(init_params(Masked(), new_key(), size), tx)
    step = step_of(DenoisingScoreMatching(Masked(), SDE), tx, num_microbatches=2)
    found, _ = step(state, new_key(), jnp.zeros((2, size, size, 3)))
    shown = np.mean(found.params["weights"] != state.params["weights"])
    np.testing.assert_allclose(shown, 0.75, atol=5 * np.sqrt(0.75 * 0.25 / (3 * size**2)))  # five standard errors


def test_a_batch_that_does_not_split_is_refused(new_key):
    tx = optax.sgd(1.0)
    state = first_state(Blur(), tx, new_key())
    with pytest.raises(ValueError, match="The batch of 8 pictures must be a multiple of num_microbatches, got 3"):
        step_of(DenoisingScoreMatching(Blur(), SDE), tx, num_microbatches=3)(state, new_key(), jnp.ones(SHAPE))


def trained(loss_fn, draw, key, *, num_steps, rate):
    """The params after training on the pictures that `draw` makes of a key, at a rate that falls to 0."""
    tx = optax.adam(optax.linear_schedule(rate, 0.0, num_steps))
    key_init, key_data, key_train = jax.random.split(key, 3)

    def body(state, key):
        return TrainStep(loss_fn, tx, ema_decay=0.99)(state, key_train, draw(key))

    @jax.jit
    def run(key_init, key_data):
        state = init_state(init_params(loss_fn.model, key_init, 4), tx)
        state, _ = jax.lax.scan(body, state, jax.random.split(key_data, num_steps))
        return state.params

    return run(key_init, key_data)


def test_training_reaches_the_least_loss_that_there_is(new_key):
    """Pixels N(m, s^2) at one noise level: eps = sigma (x - m) / (s^2 + sigma^2), and loss s^2 / (s^2 + sigma^2)."""
    mean, std, sigma = 0.3, 0.5, 0.7
    loss_fn = DenoisingScoreMatching(Affine(), SDE, LogNormalNoise(np.log(sigma), 0.0))

    def draw(key, num_pictures=64):
        return mean + std * jax.random.normal(key, (num_pictures, 4, 4, 1))

    params = trained(loss_fn, draw, new_key(), num_steps=400, rate=0.05)
    slope = sigma / (std**2 + sigma**2)
    # The last 100 steps, over which the rate fades, average 1e5 noises of deviation s / sqrt(s^2 + sigma^2) = 0.58.
    np.testing.assert_allclose(params["a"], slope, atol=5 * 0.58 / np.sqrt(1e5) / np.hypot(std, sigma))
    np.testing.assert_allclose(params["b"], -slope * mean, atol=5 * 0.58 / np.sqrt(1e5))
    least, n = std**2 / (std**2 + sigma**2), 4096 * 16
    found = jax.jit(lambda key, x0: loss_fn(params, key, x0))(new_key(), draw(new_key(), 4096))
    np.testing.assert_allclose(found, least, atol=5 * least * np.sqrt(2 / n))  # five standard errors of a chi square


def mixture_losses(mean, std, sigmas):
    """The least losses (sigmas) for pixels that are N(mean, std^2) or N(-mean, std^2), by a sum over x.

    The best denoiser is the posterior mean; the least loss of eps is its posterior variance over sigma^2.
    """
    x = np.linspace(-mean - 30, mean + 30, 600_001)
    losses = []
    for sigma in sigmas:
        variance = std**2 + sigma**2
        parts = np.stack([np.exp(-((x - m) ** 2) / (2 * variance)) for m in (mean, -mean)])
        density = parts.sum(axis=0) / (2 * np.sqrt(2 * np.pi * variance))
        weights = parts / np.maximum(parts.sum(axis=0), 1e-300)
        means = np.stack([m + std**2 / variance * (x - m) for m in (mean, -mean)])
        best = (weights * means).sum(axis=0)
        second_moment = (weights * (means**2 + std**2 * sigma**2 / variance)).sum(axis=0)
        losses.append(((second_moment - best**2) * density).sum() * (x[1] - x[0]) / sigma**2)
    return np.array(losses)


def test_a_network_learns_a_gaussian_mixture_at_every_noise_level(new_key):
    mean, std = 0.6, 0.15
    model = EDMPreconditioned(PixelNetwork(), sigma_data=float(np.hypot(mean, std)))
    loss_fn = DenoisingScoreMatching(model, SDE, LogNormalNoise(-1.0, 0.8))

    def draw(key, num_pictures=64):
        key_sign, key_noise = jax.random.split(key)
        shape = (num_pictures, 4, 4, 1)
        return mean * jax.random.rademacher(key_sign, shape, jnp.float32) + std * jax.random.normal(key_noise, shape)

    params = trained(loss_fn, draw, new_key(), num_steps=800, rate=1e-2)
    sigmas, n = np.array([0.2, 0.4, 0.8]), 4096
    x0, key_noise = draw(new_key(), n * len(sigmas)), new_key()
    t = jnp.repeat(SDE.time_of(jnp.asarray(sigmas, jnp.float32)), n)

    @jax.jit
    def tested(x0, t, key_noise):
        return loss_fn.per_image(params, x0, t, jax.random.normal(key_noise, x0.shape)).reshape(len(sigmas), n)

    found = np.asarray(tested(x0, t, key_noise))
    least, standard_error = mixture_losses(mean, std, sigmas), found.std(axis=1) / np.sqrt(n)
    assert least[1] > 4 * std**2 / (std**2 + sigmas[1] ** 2)  # most of it is the sign, which has to be guessed
    # A small network on 800 batches: at most 3 % above the least, beside five standard errors.
    assert (found.mean(axis=1) > least - 5 * standard_error).all()
    assert (found.mean(axis=1) < 1.03 * least + 5 * standard_error).all()
