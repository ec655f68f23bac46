"""A generative adversarial network inverted to the guide, as SDEdit's paper compares with: `load`, `invert`, `refine`.

`networks` and `layers` are the StyleGAN2 in small; `adversarial` trains generator and discriminator, `encoding` the
encoder, each as one step on arrays, `training` is the loop of both; `inversion` is the method. `python -m
sdedit_jax.baselines.gan --help` says how one is trained.
"""

from sdedit_jax.baselines.gan.files import load, save
from sdedit_jax.baselines.gan.inversion import GAN, invert, refine, synthesize

__all__ = ["GAN", "invert", "load", "refine", "save", "synthesize"]
