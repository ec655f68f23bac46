"""Data whose score is known in closed form, and the network that has learnt it perfectly."""

import flax.linen as nn

from sdedit_jax.sdes import SDE, VESDE, DiscreteVPSDE, expand


def gaussian_score(sde, mean, std, x, t):
    """The score at x_t of data N(mean, std^2), each pixel on its own."""
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    return (alpha * mean - x) / ((alpha * std) ** 2 + sigma**2)


def time_of_label(sde, noise_label):
    """The inverse of `sde.noise_label`."""
    if isinstance(sde, VESDE):
        return sde.time_of(2.0 * noise_label)
    if isinstance(sde, DiscreteVPSDE):
        return (noise_label + 1.0) / sde.num_levels
    return noise_label / 999.0


class GaussianNetwork(nn.Module):
    """The exact noise prediction for data N(mean, std^2); it is told nothing but x and the noise label."""

    sde: SDE
    mean: float
    std: float

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        t = time_of_label(self.sde, noise_label)
        return -expand(self.sde.sigma(t), x) * gaussian_score(self.sde, self.mean, self.std, x, t)


class LinearNetwork(nn.Module):
    """slope x + label_slope noise_label: a noise prediction that can be followed by hand."""

    slope: float
    label_slope: float = 0.0

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        return self.slope * x + self.label_slope * expand(noise_label, x)
