"""Where SDE and network meet: noise prediction, score and denoised estimate are one function in three scalings."""

import dataclasses
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from sdedit_jax.sdes import SDE, expand


@dataclasses.dataclass(frozen=True)
class ScalesOfLabel:
    """What a network's noise label says of the noise: a function for networks, which do not know the SDE.

    Equal for equal SDEs, so that two models that were built alike stay one static argument.
    """

    sde: SDE

    def __call__(self, noise_label: jax.Array) -> tuple[jax.Array, jax.Array]:
        """alpha and sigma, like `noise_label`, at the time that has this label."""
        t = self.sde.time_of_label(noise_label)
        return self.sde.alpha(t), self.sde.sigma(t)


def noise_prediction(
    model: nn.Module, params: Any, sde: SDE, x: jax.Array, t: jax.Array, *, key_dropout: jax.Array | None = None
) -> jax.Array:
    """eps (B, H, W, C), the network's guess of the noise z in x = alpha x_0 + sigma z. `t`: () or (B,).

    With `key_dropout` the network is in training mode.
    """
    noise_label = jnp.broadcast_to(sde.noise_label(t), x.shape[:1])
    rngs = None if key_dropout is None else {"dropout": key_dropout}
    eps = model.apply({"params": params}, x, noise_label, train=key_dropout is not None, rngs=rngs)
    return cast(jax.Array, eps)  # Flax's type allows for mutable state beside it, which these networks do not have


def score(model: nn.Module, params: Any, sde: SDE, x: jax.Array, t: jax.Array) -> jax.Array:
    """The gradient of log p_t at x: -eps / sigma(t). Undefined at t = 0."""
    return -noise_prediction(model, params, sde, x, t) / expand(sde.sigma(t), x)


def denoise(model: nn.Module, params: Any, sde: SDE, x: jax.Array, t: jax.Array) -> jax.Array:
    """x0_hat (B, H, W, C) = E[x_0 | x_t = x], Tweedie's formula."""
    return sde.denoise(x, score(model, params, sde, x, t), t)
