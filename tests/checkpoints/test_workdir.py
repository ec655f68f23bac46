"""A training folder belongs to one process at a time, and says what is wrong with it or its disk."""

import shutil
from pathlib import Path

import pytest

from sdedit_jax.checkpoints import CheckpointError, explained, located, locked, pinned, read_config, write_config
from tests.processes import holding


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path):
    with holding(tmp_path) as holder:
        with pytest.raises(CheckpointError, match=rf"Process {holder.pid} on .*, since 20.*, trains in .*--workdir"):
            with locked(tmp_path):
                pass
        write_config(tmp_path, {"seed": 1})  # reading and writing files is not what is locked
        assert read_config(tmp_path) == {"seed": 1}


def test_a_full_disk_is_told_of_with_the_way_on(tmp_path):
    with pytest.raises(CheckpointError, match=rf"The disk of {tmp_path} is full \(.* MB free\). Make room and start"):
        with explained(tmp_path), open("/dev/full", "w") as full:
            full.write("x")


def test_a_new_folder_of_the_same_name_is_another(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with pinned(folder) as require_same:
        (folder / "metrics.jsonl").touch()
        require_same()
        folder.rename(tmp_path / "moved")
        with pytest.raises(CheckpointError, match="run, the folder of this run, was removed while it ran"):
            require_same()
        folder.mkdir()
        with pytest.raises(CheckpointError, match="was removed while it ran"):
            require_same()


def test_a_removed_folder_is_told_of(tmp_path):
    shutil.rmtree(tmp_path)
    with pytest.raises(CheckpointError, match="the folder of this run, was removed while it ran"):
        with explained(tmp_path):
            (tmp_path / "metrics.jsonl").open("a")


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), explained(tmp_path):
        (tmp_path / "nothing").read_text()


def test_the_folder_of_a_step_is_located(tmp_path):
    assert located(tmp_path / "checkpoints" / "1200") == (tmp_path, 1200)
    assert located(tmp_path / "checkpoints") == (tmp_path / "checkpoints", None)
    assert located(tmp_path / "1200") == (tmp_path / "1200", None)


def test_a_config_survives_with_tuples_for_sequences(tmp_path):
    config = {"seed": 1, "model": {"channel_mults": (1, 2), "name": "ddpm"}, "sigma": None, "t_min": 1e-5}
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config
    write_config(tmp_path, {"levels": [[1, 2], [3]]})
    assert read_config(tmp_path) == {"levels": ((1, 2), (3,))}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_an_unreadable_config_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError, match="No readable config"):
        read_config(tmp_path)
    Path(tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(CheckpointError, match="No readable config"):
        read_config(tmp_path)
