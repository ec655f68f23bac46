"""What TensorBoard shows of a run, read back from its event files."""

import struct
import sys

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from sdedit_jax.training.errors import TrainingError
from sdedit_jax.training.tensorboard import TensorBoard
from tests.training.runs import run


def events(folder):
    """Every event in the files of `folder`, in the order of the files' names."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[12 + length + 4 :]


def test_numbers_and_grids_arrive(tmp_path):
    board = TensorBoard(tmp_path, 0)
    board.write({"step": 3, "loss": 0.5, "validation_loss_by_level": [0.25, 0.125]})
    board.write_image("edits", np.zeros((4, 6, 3), np.float32), 3)
    board.close()
    values = {value.tag: (event.step, value) for event in events(tmp_path) for value in event.summary.value}
    numbers = {tag: (step, value.simple_value) for tag, (step, value) in values.items() if tag != "edits"}
    assert numbers == {
        "loss": (3, 0.5),
        "validation_loss_by_level/0": (3, 0.25),
        "validation_loss_by_level/1": (3, 0.125),
    }
    step, grid = values["edits"]
    assert step == 3 and (grid.image.height, grid.image.width) == (4, 6)


def test_a_run_leaves_all_that_it_has_to_show(tmp_path):
    run(tmp_path, 2, tensorboard=True)
    values = {value.tag: event.step for event in events(tmp_path / "tensorboard") for value in event.summary.value}
    assert {values[name] for name in ("loss", "validation_loss", "edits", "samples")} == {2}


def test_a_resumed_run_hides_what_came_after_its_checkpoint(tmp_path):
    board = TensorBoard(tmp_path, 20)
    board.write({"step": 21, "loss": 1.0})
    board.close()
    starts = [event.step for event in events(tmp_path) if event.session_log.status == event.session_log.START]
    assert starts == [21]


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainingError, match=r'pip install -e "\.\[tensorboard\]"'):
        TensorBoard(tmp_path, 0)
