"""Training a score model: a pure step and a dull loop.

The step knows no files and the loop no mathematics. The average of the parameters (EMA) lives in the state, and
`sdedit` is called on it at intervals as on any other model.
"""

from sdedit_jax.training.loop import Schedule, train
from sdedit_jax.training.metrics_log import TrainingError
from sdedit_jax.training.step import TrainState, init_state, train_step
from sdedit_jax.training.watching import HeldOut, validation_loss

__all__ = [
    "HeldOut",
    "Schedule",
    "TrainState",
    "TrainingError",
    "init_state",
    "train",
    "train_step",
    "validation_loss",
]
