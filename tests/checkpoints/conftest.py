"""A training folder with checkpoints, and a copy of it to damage."""

import shutil
from pathlib import Path

import pytest

from sdedit_jax.checkpoints import Checkpointer
from tests.checkpoints.states import new_state


@pytest.fixture(scope="module")
def saved_dir(tmp_path_factory):
    """A training folder in which five steps were saved and two were kept."""
    directory = tmp_path_factory.mktemp("run")
    with Checkpointer(directory, keep=2) as checkpoints:
        for step in (1, 2, 3, 10, 20):
            checkpoints.save(step, new_state(step))
    return directory


@pytest.fixture
def run_dir(saved_dir, tmp_path):
    """A copy of it to damage."""
    return Path(shutil.copytree(saved_dir, tmp_path / "run"))
