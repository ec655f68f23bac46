"""The networks: ``network(x, noise_label) -> eps``, the noise prediction, for images in [-1, 1] units of the SDE."""

from sdedit_jax.models.ddpm import DDPM
from sdedit_jax.models.ncsnpp import NCSNpp
from sdedit_jax.models.preconditioning import EDMPreconditioned, NoiseFromV, NoiseFromX0

__all__ = ["DDPM", "EDMPreconditioned", "NCSNpp", "NoiseFromV", "NoiseFromX0"]
