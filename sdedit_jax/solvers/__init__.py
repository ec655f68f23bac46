"""Reverse-time solvers: from noise at t0 back to a picture at 0, in one `lax.scan`.

The time reversal of dx = f dt + g dw is  dx = [f - g^2 score] dt + g dw  (Anderson 1982; Song et al. 2021, eq. 6). A
solver is one step of it, from t to t_next < t, written with the SDE's `alpha`, `sigma` and `transition` only, so that
one step serves VP and VE alike.

Every solver keeps one law: **a step to t_next = 0 returns E[x_0 | x_t]** (Tweedie), without noise. A grid that ends
`..., t_min, 0` so spends its last network evaluation on an exact denoising and no noise is left in the result.
"""

from sdedit_jax.solvers.base import Constraint, ScoreFn, Solver, solve, time_grid
from sdedit_jax.solvers.dpm_solver import DPMSolverSDE, PastEstimate
from sdedit_jax.solvers.first_order import Ancestral, EulerMaruyama, ReverseDiffusion
from sdedit_jax.solvers.predictor_corrector import Langevin, PredictorCorrector
from sdedit_jax.solvers.probability_flow import ProbabilityFlow

__all__ = [
    "Ancestral",
    "Constraint",
    "DPMSolverSDE",
    "EulerMaruyama",
    "Langevin",
    "PastEstimate",
    "PredictorCorrector",
    "ProbabilityFlow",
    "ReverseDiffusion",
    "ScoreFn",
    "Solver",
    "solve",
    "time_grid",
]
