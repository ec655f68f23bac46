"""The steps of a run that are on disk: which are kept, and which is read when some are damaged."""

import concurrent.futures
import contextlib
import math
import os
import shutil
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from sdedit_jax import trees
from sdedit_jax.checkpoints import snapshots, workdir
from sdedit_jax.checkpoints.workdir import CheckpointError


class Checkpointer:
    """The checkpoints of one training folder: saves in the background, keeps the newest `keep` and the best.

    A context manager: leaving it waits for the last save, and raises what went wrong with it. Nothing is written
    before the first save, so others may read what a run writes; a step that it deletes meanwhile is none.
    """

    def __init__(self, directory: str | os.PathLike[str], *, keep: int = 2):
        self._directory = _checkpoints(directory)
        self._keep = keep
        self._background = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="save")
        self._saving: concurrent.futures.Future[None] | None = None

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._wait()
        finally:
            self._background.shutdown()

    def save(self, step: int, state: Any, validation_loss: float | None = None) -> None:
        """Write the pytree of arrays `state`; returns when it is copied, so its buffers may then be donated.

        The step with the lowest `validation_loss` is kept however old it is. Waits for the save before, if that still
        runs, and raises what went wrong with it. Raises CheckpointError for a step that is saved already and for what
        cannot be written, the disk being full for example; the steps before are then as they were.
        """
        is_first = self._saving is None
        self._wait()
        if not (is_first or self._directory.is_dir()):
            raise CheckpointError(f"{self._directory} was removed after the last save.")
        if step in self.steps():
            raise CheckpointError(f"Step {step} is already saved in {self._directory}.")
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        with self._writing(step, num_bytes):
            workdir.require_space(self._directory, num_bytes)
            finish = snapshots.begin(self._folder(step), state, {"validation_loss": validation_loss})
        self._saving = self._background.submit(self._finish, finish, step, num_bytes)

    def steps(self) -> list[int]:
        """The complete steps, the oldest first; which of them are damaged is not known before they are read."""
        folders = self._directory.iterdir() if self._directory.is_dir() else ()
        return sorted(int(path.name) for path in folders if path.name.isdecimal() and snapshots.is_complete(path))

    def latest_step(self) -> int | None:
        """The newest complete step, None if there is none."""
        return max(self.steps(), default=None)

    def best_step(self) -> int | None:
        """The step with the lowest validation loss, None if none was saved with one."""
        losses = {step: snapshots.facts_of(self._folder(step)).get("validation_loss") for step in self.steps()}
        known = {step: loss for step, loss in losses.items() if loss is not None and math.isfinite(loss)}
        return min(known, key=lambda step: known[step], default=None)

    def restore(self, template: Any, step: int | None = None) -> Any:
        """The state of `step`, bit for bit as it was saved; by default of the newest step that is not damaged.

        `template`: a pytree like the saved one, of arrays or `jax.ShapeDtypeStruct`; its shardings say where the
        arrays go (without any: the default device), whatever devices they were saved from.
        Warns of each damaged step that it passes over. Raises CheckpointError if there is no such step, if it or all
        are damaged, or naming the leaves that differ.
        """

        def read(folder: Path) -> Any:
            saved, checksums = snapshots.index(folder)
            different = trees.differences(saved, template)
            if different:
                what = f"Step {folder.name} in {self._directory} is not the state that was asked for"
                raise CheckpointError(f"{what}:{trees.listing(different)}\nWas it trained with another config?")
            return snapshots.read(folder, jax.tree.map(_placed, template), checksums)

        return self._of_step(step, read)

    def restore_part(self, name: str, step: int | None = None) -> Any:
        """One top-level part of the state, as nested dicts of NumPy arrays, without knowing the rest.

        Of which step, and what if it is damaged: as `restore`.
        """

        def read(folder: Path) -> Any:
            saved, checksums = snapshots.index(folder)
            if name not in saved:
                raise CheckpointError(f"Step {folder.name} in {self._directory} has no {name!r}, only {sorted(saved)}.")
            template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), saved[name])
            return snapshots.read(folder, {name: template}, checksums)[name]

        return self._of_step(step, read)

    def set_aside_after(self, step: int) -> None:
        """Moves the steps after `step` into folders ``damaged_<step>_*`` beside ``checkpoints``.

        For a run that goes on from `step` because those are damaged: it will reach and save them again.
        """
        if jax.process_index() != 0:
            return
        for later in [later for later in self.steps() if later > step]:
            aside = tempfile.mkdtemp(prefix=f"damaged_{later}_", dir=self._directory.parent)
            self._folder(later).rename(aside)

    def _folder(self, step: int) -> Path:
        return self._directory / str(step)

    def _wait(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def _finish(self, finish: Callable[[], None], step: int, num_bytes: int) -> None:
        """Runs in the background, until the step is there and those that it replaces are not."""
        with self._writing(step, num_bytes):
            finish()
        if jax.process_index() == 0:
            kept = {*self.steps()[-self._keep :], self.best_step()}
            for folder in self._directory.iterdir():  # the incomplete ones too, which killed runs left
                if folder.name.isdecimal() and int(folder.name) not in kept:
                    snapshots.delete(folder)

    @contextlib.contextmanager
    def _writing(self, step: int, num_bytes: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore have many for what the system refuses
            shutil.rmtree(self._folder(step), ignore_errors=True)
            why, advice = textwrap.shorten(str(error), 200), "Start"
            if workdir.is_full(error):
                free = workdir.free_bytes(self._directory) / 1e6
                why = f"the disk is full ({num_bytes / 1e6:.1f} MB needed, {free:.1f} MB free)"
                advice = "Make room and start"
            newest = self.latest_step()
            goes_on = "at the beginning" if newest is None else f"from step {newest}"
            raise CheckpointError(
                f"Step {step} could not be saved in {self._directory}: {why}. {advice} the same command again: it goes "
                f"on {goes_on}."
            ) from error

    def _of_step(self, step: int | None, read: Callable[[Path], Any]) -> Any:
        """What `read` gives for `step`, or for the newest step for which it does not raise DamagedError."""
        damaged: list[int] = []
        while steps := [found for found in self.steps() if found not in damaged]:
            if step not in (None, *steps):
                raise CheckpointError(f"No checkpoint of step {step} in {self._directory}, only of {steps}.")
            chosen = steps[-1] if step is None else step
            try:
                return read(self._folder(chosen))
            except snapshots.DamagedError as error:
                if not snapshots.is_complete(self._folder(chosen)):  # the run that writes here has just deleted it
                    continue
                if step is not None:
                    raise
                warnings.warn(f"{error}; looking for an older step.", stacklevel=3)
                damaged.append(chosen)
        if damaged:
            raise CheckpointError(f"All checkpoints in {self._directory} are damaged: steps {damaged[::-1]}.")
        raise CheckpointError(f"No checkpoint in {self._directory}.")


def restore_ema(directory: str | os.PathLike[str], step: int | None = None) -> dict[str, Any]:
    """The averaged params of `step`, by default of the newest whole one, whatever the optimizer was.

    Nested dicts of NumPy arrays. Raises CheckpointError as `Checkpointer.restore`.
    """
    if not _checkpoints(directory).is_dir():
        raise CheckpointError(f"{directory} is not a training folder: it has no checkpoints/.")
    with Checkpointer(directory) as checkpoints:
        return checkpoints.restore_part("ema_params", step)


def _checkpoints(directory: str | os.PathLike[str]) -> Path:
    return Path(directory).absolute() / "checkpoints"


def _placed(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
