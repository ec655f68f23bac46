"""Training a score model: a pure step and a dull loop.

The step knows no files and the loop no mathematics. The average of the parameters (EMA) lives in the state, and
`sdedit` is called on it at intervals as on any other model.
"""

from sdedit_jax.training.errors import TrainingError
from sdedit_jax.training.loop import Schedule, train
from sdedit_jax.training.step import TrainState, TrainStep, init_state
from sdedit_jax.training.watching import Watched, validation_loss

__all__ = [
    "Schedule",
    "TrainState",
    "TrainStep",
    "TrainingError",
    "Watched",
    "init_state",
    "train",
    "validation_loss",
]
