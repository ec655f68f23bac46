"""SDEdit in JAX and Flax: guided image synthesis and editing with diffusion SDEs (Meng et al. 2022, arXiv:2108.01073).

The public names are imported when first used, so that `import sdedit_jax` is instant.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Ancestral": "solvers",
    "DPMSolverSDE": "solvers",
    "DiscreteVPSDE": "sdes",
    "EulerMaruyama": "solvers",
    "Langevin": "solvers",
    "PredictorCorrector": "solvers",
    "ProbabilityFlow": "solvers",
    "ReverseDiffusion": "solvers",
    "SubVPSDE": "sdes",
    "VESDE": "sdes",
    "VPSDE": "sdes",
    "choose_t0": "tuning",
    "contact_sheet": "sheets",
    "fit_mask_to_model": "images",
    "fit_to_model": "images",
    "load_image": "images",
    "load_mask": "images",
    "load_model": "weights",
    "pmap_batch": "parallel",
    "restore_size": "images",
    "sample": "sampling",
    "save_image": "images",
    "sdedit": "editing",
    "sdedit_stream": "editing",
    "simulate_strokes": "strokes",
    "sweep": "tuning",
    "to_uint8": "pixels",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sdedit_jax' has no attribute {name!r}")
    module = importlib.import_module(f"sdedit_jax.{_PUBLIC[name]}")
    return getattr(module, "load" if name == "load_model" else name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
