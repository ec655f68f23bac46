"""Data whose score is known in closed form, and the network that has learnt it perfectly."""

import flax.linen as nn

from sdedit_jax.sdes import SDE, expand


def gaussian_score(sde, mean, std, x, t):
    """The score at x_t of data N(mean, std^2), each pixel on its own."""
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    return (alpha * mean - x) / ((alpha * std) ** 2 + sigma**2)


class GaussianNetwork(nn.Module):
    """The exact noise prediction for data N(mean, std^2); it is told nothing but x and the noise label."""

    sde: SDE
    mean: float
    std: float

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        t = self.sde.time_of_label(noise_label)
        return -expand(self.sde.sigma(t), x) * gaussian_score(self.sde, self.mean, self.std, x, t)


class LinearNetwork(nn.Module):
    """slope x + label_slope noise_label: a noise prediction that can be followed by hand."""

    slope: float
    label_slope: float = 0.0

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        return self.slope * x + self.label_slope * expand(noise_label, x)
