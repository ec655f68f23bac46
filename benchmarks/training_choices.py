"""What weighting of the loss, and what the network predicts, are worth for equal work.

    nice -n 10 python benchmarks/training_choices.py DATA_FOLDER

DATA_FOLDER is the landscapes at 64 x 64 as `--mode prepare` makes them, here scaled to 16 x 16. One small network is
trained for 300 steps of 16 pictures in each way, and asked for the clean picture at given ratios of noise to signal;
the error is relative to the variance of the pictures, so that 1 is the error of grey. Lower is better.

Last result (a row names SDE, prediction, weighting of the loss and times; sigma_data is 0.5 and snr_gamma 5):

noise / signal                         0.05       0.2       0.5       1.0       2.0       5.0      20.0  mean of logs
seed 0  VP, eps, noise, uniform      0.0093    0.0483    0.1459    0.3740    1.2211    6.9018     109.0  -0.541
seed 0  VP, eps, min_snr, uniform    0.0107    0.0522    0.1297    0.3121    0.9572    5.0373   77.2131  -0.683
seed 0  VP, v, v, uniform            0.0096    0.0620    0.1877    0.3136    0.3862    0.5232    0.6246  -1.761
seed 0  VE, edm, edm, log-normal     0.0086    0.0584    0.1450    0.2109    0.3150    0.5390    1.2590  -1.803
seed 0  VP, x0, min_snr, uniform     0.0499    0.0561    0.0903    0.1573    0.2915    0.5986    0.9222  -1.709
seed 0  VP, v, v, log-normal         0.0074    0.0466    0.1586    0.2892    0.4404    0.7069    1.9308  -1.652
seed 0  VP, v, min_snr, uniform      0.0104    0.0541    0.1514    0.2596    0.3669    0.6223    1.3607  -1.699
seed 1  VP, eps, noise, uniform      0.0092    0.0490    0.1454    0.3709    1.2036    6.8207     107.2  -0.549
seed 1  VP, eps, min_snr, uniform    0.0106    0.0556    0.1305    0.3058    0.9395    4.9540   75.5458  -0.685
seed 1  VP, v, v, uniform            0.0098    0.0632    0.1903    0.3233    0.4015    0.5332    0.6325  -1.739
seed 1  VE, edm, edm, log-normal     0.0087    0.0591    0.1500    0.2065    0.3192    0.5610    0.8147  -1.853
seed 1  VP, x0, min_snr, uniform     0.0521    0.0582    0.0904    0.1577    0.3183    0.6202    0.8686  -1.688
seed 1  VP, v, v, log-normal         0.0075    0.0468    0.1581    0.2873    0.4410    0.7546    1.2968  -1.698
seed 1  VP, v, min_snr, uniform      0.0104    0.0575    0.1500    0.2538    0.3793    0.6874    2.7932  -1.572

Predicting the noise alone fails where there is much of it; every choice that predicts the picture there is far better,
and the differences between those are near those between seeds. min-SNR helps where the noise is predicted.
"""

import functools
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from sdedit_jax.data import pipeline
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise, UniformTimes, Weighting
from sdedit_jax.models import EDMPreconditioned, NCSNpp, NoiseFromV, NoiseFromX0
from sdedit_jax.score import ScalesOfLabel, denoise
from sdedit_jax.sdes import VESDE, VPSDE

SIZE, BATCH_SIZE, NUM_STEPS, EMA_DECAY = 16, 16, 300, 0.98
RATIOS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class ToldRatio(nn.Module):
    """`network`, told half the ratio of noise to signal as under VE, so that labels are no part of the comparison."""

    network: nn.Module
    scales: ScalesOfLabel

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        """What `network` returns."""
        alpha, sigma = self.scales(noise_label)
        return self.network(x, 0.5 * sigma / alpha, train=train)


VP, VE = VPSDE(), VESDE(0.02, 100.0)
SCALES = ScalesOfLabel(VP)
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
EPS = ToldRatio(NETWORK, SCALES)
V, X0, EDM = NoiseFromV(EPS, SCALES), NoiseFromX0(EPS, SCALES), EDMPreconditioned(NETWORK, 0.5)
UNIFORM, LOG_NORMAL = UniformTimes(), LogNormalNoise(-1.0, 1.2)
MIN_SNR = Weighting("min_snr", snr_gamma=5.0)

CHOICES = {
    "VP, eps, noise, uniform": DenoisingScoreMatching(EPS, VP, UNIFORM, Weighting("noise")),
    "VP, eps, min_snr, uniform": DenoisingScoreMatching(EPS, VP, UNIFORM, MIN_SNR),
    "VP, v, v, uniform": DenoisingScoreMatching(V, VP, UNIFORM, Weighting("v")),
    "VE, edm, edm, log-normal": DenoisingScoreMatching(EDM, VE, LOG_NORMAL, Weighting("edm", 0.5)),
    "VP, x0, min_snr, uniform": DenoisingScoreMatching(X0, VP, UNIFORM, MIN_SNR),
    "VP, v, v, log-normal": DenoisingScoreMatching(V, VP, LOG_NORMAL, Weighting("v")),
    "VP, v, min_snr, uniform": DenoisingScoreMatching(V, VP, UNIFORM, MIN_SNR),
}
TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.warmup_constant_schedule(0.0, 1e-3, 50), b2=0.99))


def main(folder):
    train, validation = (pictures(folder, split) for split in ("train", "validation"))
    print(f"{'noise / signal':<33} {' '.join(f'{ratio:9}' for ratio in RATIOS)}")
    for seed in (0, 1):
        for name, loss_fn in CHOICES.items():
            errors = evaluate(loss_fn, train_one(loss_fn, train, seed), validation[:128])
            columns = " ".join(f"{error:9.4f}" for error in errors)
            print(f"seed {seed}  {name:<25} {columns}  mean of logs {np.log(errors).mean():.3f}", flush=True)


def pictures(folder, split):
    """(B, 16, 16, 3) in [-1, 1]."""
    x = np.concatenate(list(pipeline.eval_batches(pipeline.open_source(folder, split), 256)))
    factor = x.shape[1] // SIZE
    return x.reshape(len(x), SIZE, factor, SIZE, factor, 3).mean(axis=(2, 4))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def step(loss_fn, params, ema, opt_state, ema_decay, key, x0, t):
    def loss(params):
        return loss_fn.per_image(params, x0, t, jax.random.normal(key, x0.shape)).mean()

    updates, opt_state = TX.update(jax.grad(loss)(params), opt_state, params)
    params = optax.apply_updates(params, updates)
    return params, optax.incremental_update(params, ema, 1.0 - ema_decay), opt_state


def train_one(loss_fn, x, seed):
    """The averaged parameters after the run."""
    params = initial_params(loss_fn.model, jax.random.key(seed))
    ema, opt_state, rng = jax.tree.map(jnp.copy, params), TX.init(params), np.random.default_rng(seed)
    for n in range(NUM_STEPS):
        key_times, key_noise = jax.random.split(jax.random.fold_in(jax.random.key(seed), n))
        x0 = x[rng.integers(len(x), size=BATCH_SIZE)]
        t = loss_fn.times(key_times, loss_fn.sde, BATCH_SIZE)
        decay = min(EMA_DECAY, (1.0 + n) / (10.0 + n))
        params, ema, opt_state = step(loss_fn, params, ema, opt_state, decay, key_noise, x0, t)
    return ema


def initial_params(model, key):
    """Those of the innermost network, whatever is around it."""
    if not isinstance(model, NCSNpp):
        return {"network": initial_params(model.network, key)}
    return jax.jit(model.init)(key, jnp.zeros((1, SIZE, SIZE, 3)), jnp.ones(1))["params"]


def evaluate(loss_fn, params, x0):
    """The errors at each of RATIOS."""
    keys = jax.random.split(jax.random.key(7), len(RATIOS))
    parts = [squares(loss_fn, params, key, x0, ratio) for key, ratio in zip(keys, RATIOS, strict=True)]
    return np.array([part.mean() for part in parts]) / x0.var()


@functools.partial(jax.jit, static_argnums=0)
def squares(loss_fn, params, key, x0, ratio):
    """What is wrong with each number of the pictures denoised at a ratio of noise to signal, squared."""
    t = loss_fn.sde.time_of(jnp.asarray(ratio))
    mean, std = loss_fn.sde.marginal_prob(x0, t)
    x = mean + std * jax.random.normal(key, x0.shape)
    return jnp.square(denoise(loss_fn.model, params, loss_fn.sde, x, t) - x0)


if __name__ == "__main__":
    main(sys.argv[1])
