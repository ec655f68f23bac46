"""Training on disk: the state of every few thousand steps, and the config it was trained with.

A training folder holds ``config.json`` and ``checkpoints/<step>/``. A step is written in the background by Orbax and
counts only once it is complete: what a killed run leaves half written is ignored, and overwritten when that step is
reached again. With it goes a CRC-32 of every array, since Orbax loads an array with flipped bits as if nothing were
wrong; a step that is damaged is passed over for the one before. The state holds no random keys; training derives them
from its seed and the step.
"""

import contextlib
import json
import os
import tempfile
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from sdedit_jax import trees


class CheckpointError(ValueError):
    """A training folder that does not hold what was asked of it."""


class DamagedError(CheckpointError):
    """A step that is there but cannot be read, or not as it was written."""


class Checkpointer:
    """The checkpoints of one training folder: saves in the background and keeps the newest `keep`.

    A context manager: leaving it waits for the last save, and raises what went wrong with it.
    """

    def __init__(self, directory: str | os.PathLike[str], *, keep: int = 2):
        self._directory = _checkpoints(directory)
        context = ocp.Context()
        # A file marks a step as complete, so a step that is half written or half deleted is never taken for one.
        context.atomicity.mode = ocp.options.AtomicityMode.COMMIT_FILE
        # Structure is compared here, leaf by leaf; so one part of the state can be read without the rest.
        context.pytree.loading.partial_load = True
        newest: Any = ocp.training.preservation_policies.LatestN(keep)
        try:
            self._steps = ocp.training.Checkpointer(str(self._directory), context=context, preservation_policy=newest)
        except ValueError as error:  # Orbax reads all records at once
            what = f"The record (_CHECKPOINT_METADATA) of a step in {self._directory} is damaged"
            raise CheckpointError(f"{what}: {error} Move that step away to go on from another.") from error

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._steps.close()

    def save(self, step: int, state: Any) -> None:
        """Write the pytree of arrays `state`; returns when it is copied, so its buffers may then be donated.

        Waits for the save before, if that still runs. Raises CheckpointError for a step that is saved already.
        """
        checksums: Any = {"crc32": _checksums(state)}
        try:
            self._steps.save_async(step, state, force=True, custom_metadata=checksums)
        except FileExistsError as error:
            raise CheckpointError(f"Step {step} is already saved in {self._directory}.") from error

    def latest_step(self) -> int | None:
        """The newest complete step, None if there is none."""
        latest = self._steps.latest
        return None if latest is None else latest.step

    def restore(self, template: Any, step: int | None = None) -> Any:
        """The state of `step`, bit for bit as it was saved; by default of the newest step that is not damaged.

        `template`: a pytree like the saved one, of arrays or `jax.ShapeDtypeStruct`; its shardings say where the
        arrays go (without any: the default device), whatever devices they were saved from.
        Warns of each damaged step that it passes over. Raises CheckpointError if there is no such step, if it or all
        are damaged, or naming the leaves that differ.
        """

        def read(step: int) -> Any:
            saved, checksums = self._saved(step)
            different = trees.differences(saved, template)
            if different:
                what = f"Step {step} in {self._directory} is not the state that was asked for"
                raise CheckpointError(f"{what}:{trees.listing(different)}\nWas it trained with another config?")
            return self._read(step, jax.tree.map(_placed, template), checksums)

        return self._of_step(step, read)

    def restore_part(self, name: str, step: int | None = None) -> Any:
        """One top-level part of the state, as nested dicts of NumPy arrays, without knowing the rest.

        Of which step, and what if it is damaged: as `restore`, but only the damage to this part is seen.
        """

        def read(step: int) -> Any:
            saved, checksums = self._saved(step)
            if name not in saved:
                raise CheckpointError(f"Step {step} in {self._directory} has no {name!r}, only {sorted(saved)}.")
            template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), saved[name])
            return self._read(step, {name: template}, checksums)[name]

        return self._of_step(step, read)

    def set_aside_after(self, step: int) -> None:
        """Moves the steps after `step` into folders ``damaged_<step>_*`` beside ``checkpoints``.

        For a run that goes on from `step` because those are damaged: it will reach and save them again.
        """
        for later in [checkpoint.step for checkpoint in self._steps.checkpoints if checkpoint.step > step]:
            aside = tempfile.mkdtemp(prefix=f"damaged_{later}_", dir=self._directory.parent)
            (self._directory / str(later)).rename(aside)
        self._steps.reload()

    def _of_step(self, step: int | None, read: Callable[[int], Any]) -> Any:
        """What `read` gives for `step`, or for the newest step for which it does not raise DamagedError."""
        steps = [checkpoint.step for checkpoint in self._steps.checkpoints]
        if not steps:
            raise CheckpointError(f"No checkpoint in {self._directory}.")
        if step is not None:
            if step not in steps:
                raise CheckpointError(f"No checkpoint of step {step} in {self._directory}, only of {steps}.")
            return read(step)
        for newest in reversed(steps):
            try:
                return read(newest)
            except DamagedError as error:
                warnings.warn(f"{error}; looking for an older step.", stacklevel=3)
        raise CheckpointError(f"All checkpoints in {self._directory} are damaged: steps {steps}.")

    def _saved(self, step: int) -> tuple[dict[str, Any], dict[str, int]]:
        """The saved tree with, for every array, its shape and dtype; and the checksums, none in the oldest runs."""
        with self._reading(step):
            saved = self._steps.metadata(step)
            if saved.metadata is None:  # Orbax logs why
                raise OSError("its index cannot be read")
            if saved.init_timestamp_nsecs is None:  # an empty record is what Orbax makes of an unreadable one
                raise OSError("its record cannot be read")
            custom: Any = saved.custom_metadata
            if not custom:
                return saved.metadata, {}
            checksums = custom["crc32"]
            if checksums.keys() != trees.flatten(saved.metadata).keys():
                raise OSError("its index is not that of the arrays that were saved")
            return saved.metadata, checksums

    def _read(self, step: int, template: Any, checksums: dict[str, int]) -> Any:
        with self._reading(step):
            state = self._steps.load(step, template)
            changed = [name for name, crc in _checksums(state).items() if checksums.get(name, crc) != crc]
            if changed:
                raise OSError(f"not as they were saved (CRC-32): {', '.join(changed)}")
            return state

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # damage surfaces as whatever Orbax or TensorStore trips over
            reason = textwrap.shorten(str(error), 200)
            raise DamagedError(f"Step {step} in {self._directory} is damaged: {reason}") from error


def restore_ema(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """The averaged params of the newest whole checkpoint, nested dicts of NumPy arrays, whatever the optimizer."""
    if not _checkpoints(directory).is_dir():
        raise CheckpointError(f"{directory} is not a training folder: it has no checkpoints/.")
    with Checkpointer(directory) as checkpoints:
        return checkpoints.restore_part("ema_params")


def write_config(directory: str | os.PathLike[str], config: dict[str, Any]) -> None:
    """Write `config`, plain data such as ``ConfigDict.to_dict()``, as ``config.json`` of the training folder."""
    path = Path(directory) / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_config(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """The config that `write_config` wrote, with tuples for sequences. CheckpointError if missing or damaged."""
    path = Path(directory) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No readable config in the training folder {directory}: {error}") from error
    return trees.tuples(config)


def _checkpoints(directory: str | os.PathLike[str]) -> Path:
    return Path(directory).absolute() / "checkpoints"


def _placed(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _checksums(tree: Any) -> dict[str, int]:
    """The CRC-32 of the bytes of every leaf, by name."""
    return {name: _checksum(leaf) for name, leaf in trees.flatten(tree).items()}


def _checksum(leaf: Any) -> int:
    # As bytes: zlib takes no bfloat16.
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
