"""Initial weights of the published networks (Ho et al. 2020, Song et al. 2021)."""

from flax import linen as nn
from jax.nn.initializers import Initializer


def fan_avg_uniform(scale: float) -> Initializer:
    """Uniform in [-a, a], a = sqrt(3 scale / mean(fan_in, fan_out)).

    A `scale` of 0 is drawn as 1e-10: the layer starts at almost nothing, but no two of its weights are equal.
    """
    return nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")
