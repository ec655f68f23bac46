"""A training run on disk: its folder, its config, and the state of every few thousand steps.

A training folder holds ``config.json`` and ``checkpoints/<step>/``. A step is written in the background by Orbax and
counts only once it is complete: what a killed run leaves half written is ignored, and overwritten when that step is
reached again. Then it is sealed with a CRC-32 of every file, which is compared before anything is read; inside is one
of every array, since what leads from the files to the arrays may err too. A step that is damaged is passed over for
the one before. The state holds no random keys; training derives them from its seed and the step.
"""

from sdedit_jax.checkpoints.steps import Checkpointer, restore_ema
from sdedit_jax.checkpoints.workdir import (
    CheckpointError,
    explained,
    located,
    locked,
    pinned,
    read_config,
    write_config,
)

__all__ = [
    "CheckpointError",
    "Checkpointer",
    "explained",
    "located",
    "locked",
    "pinned",
    "read_config",
    "restore_ema",
    "write_config",
]
