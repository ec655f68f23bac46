"""Forward SDEs: how a picture turns into noise, and everything that follows from that.

An SDE  dx = f(x, t) dt + g(t) dw  with t in [0, 1] and a drift linear in x carries data x_0 to

    p(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I),        alpha(0) = 1, sigma(0) = 0.

Two numbers per time, `alpha` and `sigma`, therefore describe it completely: the law of x_t given an earlier x_s
(`transition`), the noised guide (`perturb`), and every solver step. Song et al. 2021 (arXiv:2011.13456), table of
section 3; pixels are float32 in [-1, 1] for every SDE.
"""

from sdedit_jax.sdes.base import SDE, expand
from sdedit_jax.sdes.discrete_vp import DiscreteVPSDE
from sdedit_jax.sdes.ve import VESDE
from sdedit_jax.sdes.vp import VPSDE, SubVPSDE

__all__ = ["SDE", "VESDE", "VPSDE", "DiscreteVPSDE", "SubVPSDE", "expand"]
