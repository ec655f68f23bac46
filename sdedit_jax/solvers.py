"""Reverse-time solvers: from noise at t0 back to a picture at 0, in one `lax.scan`.

The time reversal of dx = f dt + g dw is  dx = [f - g^2 score] dt + g dw  (Anderson 1982; Song et al. 2021, eq. 6). A
solver is one step of it, from t to t_next < t, written with the SDE's `alpha`, `sigma` and `transition` only, so that
one step serves VP and VE alike.

Every solver keeps one law: **a step to t_next = 0 returns E[x_0 | x_t]** (Tweedie), without noise. A grid that ends
`..., t_min, 0` so spends its last network evaluation on an exact denoising and no noise is left in the result.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from sdedit_jax import keys
from sdedit_jax.sdes import SDE, expand

ScoreFn = Callable[[jax.Array, jax.Array], jax.Array]
Constraint = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Solver(abc.ABC):
    """One step of a reverse-time SDE or ODE."""

    @property
    @abc.abstractmethod
    def nfe_per_step(self) -> int:
        """Network evaluations a step."""

    @abc.abstractmethod
    def step(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, t: jax.Array, t_next: jax.Array
    ) -> jax.Array:
        """The state at t_next from `x` at t. `key`: (), or (B,) one per image. `t`, `t_next`: () or (B,)."""

    def initial_memory(self, x: jax.Array) -> Any:
        """What the solver remembers before its first step, of the `x` (B, ...) there; nothing, unless multistep."""
        del x
        return ()

    def step_with_memory(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, memory: Any, t: jax.Array, t_next: jax.Array
    ) -> tuple[jax.Array, Any]:
        """`step`, and what is remembered of it; a multistep solver uses what it remembers of the step before."""
        return self.step(sde, score_fn, key, x, t, t_next), memory


@dataclasses.dataclass(frozen=True)
class EulerMaruyama(Solver):
    """The Euler-Maruyama scheme of the reverse-time SDE: strong order 1/2, weak order 1."""

    @property
    def nfe_per_step(self) -> int:
        """One."""
        return 1

    def step(self, sde, score_fn, key, x, t, t_next):
        """x - [f - g^2 score] dt + g sqrt(dt) z."""
        dt, g = expand(t - t_next, x), expand(sde.diffusion(t), x)
        score = score_fn(x, t)
        x_next = x - (sde.drift(x, t) - g**2 * score) * dt + g * jnp.sqrt(dt) * keys.normal(key, x.shape, x.dtype)
        return jnp.where(expand(t_next, x) > 0.0, x_next, sde.denoise(x, score, t))


@dataclasses.dataclass(frozen=True)
class Ancestral(Solver):
    """Ancestral sampling: the reverse of the forward kernel t_next -> t.

    `variance`: "large", that of the forward kernel, is the update of the SDEdit paper for VE and VP (Meng et al. 2022,
    algorithms 1 and 4); "small", that of the posterior given x_0, is DDPM's (Ho et al. 2020, eq. 7) and what SDEdit's
    authors ran.
    """

    variance: Literal["small", "large"] = "small"

    @property
    def nfe_per_step(self) -> int:
        """One."""
        return 1

    def step(self, sde, score_fn, key, x, t, t_next):
        """(x + var score) / scale, plus noise of the chosen variance."""
        scale, var = sde.transition(t_next, t)
        mean = (x + expand(var, x) * score_fn(x, t)) / expand(scale, x)
        if self.variance == "small":
            shrink = sde.sigma(t_next) / sde.sigma(t)
        else:
            # The paper adds noise in its last step as well, and so leaves it in the picture.
            shrink = (t_next > 0.0).astype(x.dtype)
        return mean + expand(shrink * jnp.sqrt(var), x) * keys.normal(key, x.shape, x.dtype)


class PastEstimate(NamedTuple):
    """What `DPMSolverSDE` remembers of the step before."""

    x0: jax.Array
    """(B, H, W, C) E[x_0 | x_t] there."""
    half_log_snr: jax.Array
    """(B,) log(alpha / sigma) there; -inf before the first step, so that it counts for nothing."""


@dataclasses.dataclass(frozen=True)
class DPMSolverSDE(Solver):
    """SDE-DPM-Solver++(2M) of Lu et al. 2022 (arXiv:2211.01095, section 5): ancestral sampling to second order.

    Between t and t_next the reverse SDE is linear but for E[x_0 | x_t]. `Ancestral("small")` takes that to be constant;
    this solver takes it to be a line in the half log-SNR log(alpha / sigma), through the estimates at t and at the step
    before. So it still has one network evaluation a step, and the noise of the SDE. Its first step is ancestral.

    The published rule extends that line as far as the step is long. Evenly spaced times make the last steps of a VP SDE
    several times as long as those before, and the result too noisy; so here it goes no farther than the step before.
    """

    @property
    def nfe_per_step(self) -> int:
        """One."""
        return 1

    def step(self, sde, score_fn, key, x, t, t_next):
        """A first step, which is ancestral."""
        return Ancestral("small").step(sde, score_fn, key, x, t, t_next)

    def initial_memory(self, x):
        """Of a step infinitely long ago."""
        return PastEstimate(jnp.zeros_like(x), jnp.full(x.shape[0], -jnp.inf, x.dtype))

    def step_with_memory(self, sde, score_fn, key, x, memory, t, t_next):
        """An ancestral step, plus alpha' (1 - e^(-2 h)) (x0 - x0_last) min(1, h / h_last) / 2; h is in half log-SNR."""
        score = score_fn(x, t)
        x0 = sde.denoise(x, score, t)
        half_log_snr = jnp.broadcast_to(_half_log_snr(sde, t), memory.half_log_snr.shape)
        h = _half_log_snr(sde, jnp.maximum(t_next, sde.t_min)) - half_log_snr
        h_last = half_log_snr - memory.half_log_snr
        # No line goes through a step of no length, and the step to 0 has the estimate at t for its result.
        extends = (t_next > 0.0) & (h_last > 0.0)
        extension = jnp.where(extends, jnp.minimum(1.0, h / jnp.where(extends, h_last, 1.0)), 0.0)
        _, var = sde.transition(t_next, t)
        gain = sde.alpha(t_next) * var / sde.sigma(t) ** 2
        x_next = Ancestral("small").step(sde, lambda x, t: score, key, x, t, t_next)
        x_next = x_next + 0.5 * expand(gain * extension, x) * (x0 - memory.x0)
        return x_next, PastEstimate(x0, half_log_snr)


@dataclasses.dataclass(frozen=True)
class ReverseDiffusion(Solver):
    """The forward kernel reversed as Song et al. discretise it (2021, appendix E): first order in 1 - scale."""

    @property
    def nfe_per_step(self) -> int:
        """One."""
        return 1

    def step(self, sde, score_fn, key, x, t, t_next):
        """(2 - scale) x + var score, plus noise of variance var."""
        scale, var = sde.transition(t_next, t)
        score = score_fn(x, t)
        x_next = (2.0 - expand(scale, x)) * x + expand(var, x) * score
        x_next = x_next + expand(jnp.sqrt(var), x) * keys.normal(key, x.shape, x.dtype)
        return jnp.where(expand(t_next, x) > 0.0, x_next, sde.denoise(x, score, t))


@dataclasses.dataclass(frozen=True)
class ProbabilityFlow(Solver):
    """The probability-flow ODE (Song et al. 2021, eq. 13), whose solutions have the SDE's marginals but no noise.

    In the coordinates x / alpha against sigma / alpha it reads  d(x / alpha) = eps d(sigma / alpha)  for every SDE
    here. `order` 1 is Euler's rule there, which is DDIM (Song et al. 2020, eq. 13, arXiv:2010.02502); 2 is Heun's
    (Karras et al. 2022, algorithm 1, arXiv:2206.00364), with two evaluations a step.
    """

    order: Literal[1, 2] = 1

    @property
    def nfe_per_step(self) -> int:
        """One for each order."""
        return self.order

    def step(self, sde, score_fn, key, x, t, t_next):
        """One step along d(x / alpha) = eps d(sigma / alpha); `key` is not used."""
        del key
        alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
        alpha_next, sigma_next = expand(sde.alpha(t_next), x), expand(sde.sigma(t_next), x)
        step_length = sigma_next / alpha_next - sigma / alpha
        eps = -sigma * score_fn(x, t)
        x_next = alpha_next * (x / alpha + eps * step_length)
        if self.order == 1:
            return x_next
        # No score exists at 0: there the slope stays Euler's, and t_min stands in so that nothing is NaN.
        t_end = jnp.maximum(t_next, sde.t_min)
        eps_next = -expand(sde.sigma(t_end), x) * score_fn(x_next, t_end)
        slope = jnp.where(expand(t_next, x) > 0.0, 0.5 * (eps + eps_next), eps)
        return alpha_next * (x / alpha + slope * step_length)


@dataclasses.dataclass(frozen=True)
class Langevin:
    """The Langevin corrector of Song et al. 2021, algorithm 4: MCMC steps that leave the level of noise as it is.

    `target_snr` is r there. Norms are per image, not averaged over the batch as in the reference, so that no image
    depends on the others. The step carries the factor scale^2 of the kernel t_next -> t: 1 for VE, DDPM's 1 - beta
    for VP.
    """

    target_snr: float = 0.16
    num_steps: int = 1

    def correct(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, t: jax.Array, t_next: jax.Array
    ) -> jax.Array:
        """The state at t after `num_steps` Langevin steps."""
        scale, _ = sde.transition(t_next, t)

        def body(x, key):
            score = score_fn(x, t)
            z = keys.normal(key, x.shape, x.dtype)
            step_size = 2.0 * expand(scale, x) ** 2 * (self.target_snr * _norm(z) / _norm(score)) ** 2
            return x + step_size * score + jnp.sqrt(2.0 * step_size) * z, None

        return lax.scan(body, x, keys.split(key, self.num_steps))[0]


@dataclasses.dataclass(frozen=True)
class PredictorCorrector(Solver):
    """The predictor-corrector sampler of Song et al. 2021, in the order of its code, score_sde: first the corrector.

    Algorithm 1 there predicts first and corrects at t_next, so that it ends with a correction.
    """

    predictor: Solver = ReverseDiffusion()
    corrector: Langevin = Langevin()

    @property
    def nfe_per_step(self) -> int:
        """The predictor's and the corrector's."""
        return self.predictor.nfe_per_step + self.corrector.num_steps

    def step(self, sde, score_fn, key, x, t, t_next):
        """Correct at t, then step to t_next."""
        return self.step_with_memory(sde, score_fn, key, x, self.initial_memory(x), t, t_next)[0]

    def initial_memory(self, x):
        """The predictor's."""
        return self.predictor.initial_memory(x)

    def step_with_memory(self, sde, score_fn, key, x, memory, t, t_next):
        """Correct at t, then step to t_next as the predictor does."""
        key_corrector, key_predictor = keys.split(key)
        x = self.corrector.correct(sde, score_fn, key_corrector, x, t, t_next)
        return self.predictor.step_with_memory(sde, score_fn, key_predictor, x, memory, t, t_next)


def time_grid(t0: jax.Array, num_steps: int, t_min: float) -> jax.Array:
    """(num_steps + 1,) or (num_steps + 1, B) decreasing times: t0, evenly down to t_min, and then 0.

    `t0` () or (B,) may be traced. A t0 at or below `t_min` gives a grid that stays at t0 until its last step.
    """
    t0 = jnp.asarray(t0, jnp.result_type(float))
    fraction = jnp.linspace(0.0, 1.0, num_steps).reshape((num_steps,) + (1,) * t0.ndim)
    times = t0[None] + fraction * (jnp.minimum(t0, t_min) - t0)[None]
    return jnp.concatenate([times, jnp.zeros((1, *t0.shape), times.dtype)])


def solve(
    sde: SDE,
    score_fn: ScoreFn,
    solver: Solver,
    step_keys: jax.Array,
    x: jax.Array,
    times: jax.Array,
    constrain: Constraint | None = None,
    memory: Any = None,
) -> tuple[jax.Array, Any]:
    """The state at times[-1] from `x` (B, ...) at times[0], and the solver's memory there: one `lax.scan` over steps.

    Args:
        sde: the forward SDE.
        score_fn: (x, t) -> the score of x_t, like x.
        solver: the step.
        step_keys: (N,) or (N, B) keys, one for each step; the randomness of step n is step_keys[n]'s alone, so a grid
            cut into chunks, each with the memory of the one before, gives the same result.
        x: the state at times[0].
        times: (N + 1,) or (N + 1, B), decreasing.
        constrain: (key, x, t) -> x, applied to the state after every step (to re-impose kept pixels); None: nothing.
        memory: what the solver remembers of the steps before times[0]; None: nothing.
    """

    def body(state, step_inputs):
        (x, memory), (key, t, t_next) = state, step_inputs
        if constrain is None:
            return solver.step_with_memory(sde, score_fn, key, x, memory, t, t_next), None
        key_step, key_constrain = keys.split(key)
        x, memory = solver.step_with_memory(sde, score_fn, key_step, x, memory, t, t_next)
        return (constrain(key_constrain, x, t_next), memory), None

    state = (x, solver.initial_memory(x) if memory is None else memory)
    return lax.scan(body, state, (step_keys, times[:-1], times[1:]))[0]


def _half_log_snr(sde: SDE, t: jax.Array) -> jax.Array:
    """log(alpha / sigma), lambda of Lu et al. 2022."""
    return sde.log_alpha(t) - jnp.log(sde.sigma(t))


def _norm(x: jax.Array) -> jax.Array:
    """(B, 1, ...) Euclidean norm of each image."""
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))
