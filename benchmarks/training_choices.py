"""What weighting of the loss, and what the network predicts, are worth for equal work.

    nice -n 10 python benchmarks/training_choices.py DATA_FOLDER

DATA_FOLDER is the landscapes at 64 x 64 as `--mode prepare` makes them, here scaled to 16 x 16. One small network is
trained for 300 steps of 16 pictures in each way, and asked for the clean picture at given ratios of noise to signal;
the error is relative to the variance of the pictures, so that 1 is the error of grey. Lower is better.

Last result (both seeds; "edm" as a prediction is that of Karras et al. 2022, as a weighting the factor that belongs to
it, in brackets its sigma_data):

noise / signal                            0.05     0.2     0.5     1.0     2.0     5.0    20.0  mean of logs
seed 0  VP, eps, noise, uniform         0.0093  0.0483  0.1459  0.3740  1.2211  6.9018   109.0   -0.541
seed 0  VP, eps, min_snr, uniform       0.0107  0.0522  0.1297  0.3121  0.9572  5.0373 77.2131   -0.683
seed 0  VP, v, edm (1), uniform         0.0096  0.0620  0.1871  0.3150  0.3853  0.5222  0.6229   -1.761
seed 0  VE, edm, edm (0.5), log-normal  0.0086  0.0584  0.1450  0.2109  0.3150  0.5390  1.2590   -1.803
seed 0  VP, x0, min_snr, uniform        0.0499  0.0561  0.0903  0.1573  0.2915  0.5986  0.9222   -1.709
seed 0  VP, v, edm (1), log-normal      0.0074  0.0467  0.1587  0.2893  0.4367  0.6961  2.2129   -1.636
seed 0  VP, v, min_snr, uniform         0.0103  0.0540  0.1515  0.2601  0.3655  0.6207  1.3881   -1.698
seed 1  VP, eps, noise, uniform         0.0092  0.0490  0.1454  0.3709  1.2036  6.8207   107.2   -0.549
seed 1  VP, eps, min_snr, uniform       0.0106  0.0556  0.1305  0.3058  0.9395  4.9540 75.5458   -0.685
seed 1  VP, v, edm (1), uniform         0.0098  0.0637  0.1919  0.3263  0.4073  0.5327  0.6306   -1.734
seed 1  VE, edm, edm (0.5), log-normal  0.0087  0.0591  0.1500  0.2065  0.3192  0.5610  0.8147   -1.853
seed 1  VP, x0, min_snr, uniform        0.0521  0.0582  0.0904  0.1577  0.3183  0.6202  0.8686   -1.688
seed 1  VP, v, edm (1), log-normal      0.0075  0.0468  0.1581  0.2873  0.4410  0.7546  1.2968   -1.698
seed 1  VP, v, min_snr, uniform         0.0104  0.0575  0.1500  0.2538  0.3793  0.6874  2.7932   -1.572

Predicting the noise alone fails where there is much of it; every choice that predicts the picture there is far better,
and the differences between those are near those between seeds. min-SNR helps where the noise is predicted.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sdedit_jax.data import pipeline
from sdedit_jax.losses import LogNormalNoise, UniformTimes, Weighting
from sdedit_jax.models import NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE

SIZE, BATCH_SIZE, NUM_STEPS, EMA_DECAY = 16, 16, 300, 0.98
RATIOS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)
NETWORK = NCSNpp(
    channels=48,
    channel_mults=(1,),
    num_res_blocks=1,
    attention_levels=(),
    patch_size=2,
    fourier_scale=4.0,
    progressive="none",
    progressive_input="none",
)
VP, VE = VPSDE(), VESDE(0.02, 100.0)
UNIFORM, LOG_NORMAL = UniformTimes(), LogNormalNoise(-1.0, 1.2)


def eps_prediction(alpha, sigma):
    """Coefficients (c_in, a, b) of eps = a x + b F(c_in x): the network's F is the noise."""
    return 1.0, 0.0, 1.0


def x0_prediction(alpha, sigma):
    return 1.0, 1.0 / sigma, -alpha / sigma


def v_prediction(alpha, sigma, sigma_data=1.0):
    """Salimans & Ho 2022 (arXiv:2202.00512) up to the sign of F; with another `sigma_data`, Karras et al. 2022."""
    std = jnp.hypot(sigma, alpha * sigma_data)
    return 1.0 / std, sigma / std**2, -alpha * sigma_data / std


edm_prediction = functools.partial(v_prediction, sigma_data=0.5)


def min_snr(sde, t):
    """Hang et al. 2023 (arXiv:2303.09556) with gamma 5: min(SNR, 5) / SNR as a factor of |eps - z|^2."""
    return jnp.minimum(1.0, 5.0 * (sde.sigma(t) / sde.alpha(t)) ** 2)


CHOICES = {
    "VP, eps, noise, uniform": (VP, eps_prediction, Weighting("noise"), UNIFORM),
    "VP, eps, min_snr, uniform": (VP, eps_prediction, min_snr, UNIFORM),
    "VP, v, edm (1), uniform": (VP, v_prediction, Weighting("edm", 1.0), UNIFORM),
    "VE, edm, edm (0.5), log-normal": (VE, edm_prediction, Weighting("edm", 0.5), LOG_NORMAL),
    "VP, x0, min_snr, uniform": (VP, x0_prediction, min_snr, UNIFORM),
    "VP, v, edm (1), log-normal": (VP, v_prediction, Weighting("edm", 1.0), LOG_NORMAL),
    "VP, v, min_snr, uniform": (VP, v_prediction, min_snr, UNIFORM),
}
TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.warmup_constant_schedule(0.0, 1e-3, 50), b2=0.99))


def main(folder):
    train, validation = (pictures(folder, split) for split in ("train", "validation"))
    print(f"{'noise / signal':<39} {' '.join(f'{ratio:9}' for ratio in RATIOS)}")
    for seed in (0, 1):
        for name, choice in CHOICES.items():
            errors = evaluate(choice, train_one(choice, train, seed), validation[:128])
            columns = " ".join(f"{error:9.4f}" for error in errors)
            print(f"seed {seed}  {name:<31} {columns}  mean of logs {np.log(errors).mean():.3f}", flush=True)


def pictures(folder, split):
    """(B, 16, 16, 3) in [-1, 1]."""
    x = np.concatenate(list(pipeline.eval_batches(pipeline.open_source(folder, split), 256)))
    factor = x.shape[1] // SIZE
    return x.reshape(len(x), SIZE, factor, SIZE, factor, 3).mean(axis=(2, 4))


def coefficients(choice, t):
    """All that a choice is about times t (B,): (B, 1, 1, 1) arrays, so that one program serves every choice."""
    sde, prediction, weighting, _ = choice
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    c_in, a, b = prediction(alpha, sigma)
    values = alpha, sigma, c_in, a, b, weighting(sde, t)
    return tuple(jnp.broadcast_to(value, t.shape)[:, None, None, None] for value in values)


def noise_prediction(params, x, alpha, sigma, c_in, a, b):
    label = 0.5 * (sigma / alpha)[:, 0, 0, 0]
    return a * x + b * NETWORK.apply({"params": params}, c_in * x, label)


@jax.jit(donate_argnums=(0, 1, 2))
def step(params, ema, opt_state, ema_decay, key, x0, alpha, sigma, c_in, a, b, weight):
    def loss(params):
        z = jax.random.normal(key, x0.shape)
        return (weight * (noise_prediction(params, alpha * x0 + sigma * z, alpha, sigma, c_in, a, b) - z) ** 2).mean()

    updates, opt_state = TX.update(jax.grad(loss)(params), opt_state, params)
    params = optax.apply_updates(params, updates)
    return params, optax.incremental_update(params, ema, 1.0 - ema_decay), opt_state


def train_one(choice, x, seed):
    """The averaged parameters after the run."""
    sde, *_, times = choice
    params = initial_params(jax.random.key(seed))
    ema, opt_state, rng = jax.tree.map(jnp.copy, params), TX.init(params), np.random.default_rng(seed)
    for n in range(NUM_STEPS):
        key_times, key_noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), n))
        x0 = x[rng.integers(len(x), size=BATCH_SIZE)]
        t = times(key_times, sde, BATCH_SIZE)
        decay = min(EMA_DECAY, (1.0 + n) / (10.0 + n))
        params, ema, opt_state = step(params, ema, opt_state, decay, key_noise, x0, *coefficients(choice, t))
    return ema


@jax.jit
def initial_params(key):
    return NETWORK.init(key, jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones(1))["params"]


@jax.jit
def error(params, key, x0, alpha, sigma, c_in, a, b, weight):
    x = alpha * x0 + sigma * jax.random.normal(key, x0.shape)
    x0_hat = (x - sigma * noise_prediction(params, x, alpha, sigma, c_in, a, b)) / alpha
    return jnp.square(x0_hat - x0).mean() / x0.var()


def evaluate(choice, params, x0):
    """The errors at each of RATIOS."""
    keys = jax.random.split(jax.random.key(7), len(RATIOS))
    times = [jnp.full(len(x0), choice[0].time_of(ratio)) for ratio in RATIOS]
    return np.array([error(params, key, x0, *coefficients(choice, t)) for key, t in zip(keys, times, strict=True)])


if __name__ == "__main__":
    main(sys.argv[1])
