"""Files appear whole or not at all, whoever else writes them; the cache folder is where the user wants it."""

import errno
import os
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from sdedit_jax import disk
from tests.processes import holding


def test_the_cache_is_in_the_home_unless_it_is_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk.cache_folder() == tmp_path / "sdedit_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # which the specification takes for not set
    assert disk.cache_folder() == Path.home() / ".cache" / "sdedit_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert disk.cache_folder() == Path.home() / ".cache" / "sdedit_jax"


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new" / "folders" / "x.txt"
    for text in ("first", "second"):
        with disk.replacing(path) as temporary:
            temporary.write_text(text)
            assert path.read_text() == "first" if text == "second" else not path.exists()
        assert path.read_text() == text
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("written", ["nothing", "file", "folder"])
def test_what_fails_leaves_nothing_and_changes_nothing(tmp_path, written, error):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), disk.replacing(path) as temporary:
        if written == "file":
            temporary.write_text("half")
        elif written == "folder":
            temporary.mkdir()
            (temporary / "half.txt").write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "model"
    with disk.replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "a.txt").write_text("a")
        assert not path.exists()
    assert (path / "a.txt").read_text() == "a" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError), disk.replacing(path) as temporary:  # one that holds something stays
        temporary.mkdir()
    assert (path / "a.txt").read_text() == "a" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "x.txt"
    with disk.replacing(path) as first:
        first.write_text("first")
        with disk.replacing(path) as second:
            second.write_text("second")
            assert first != second and first.name.startswith(".")
        assert path.read_text() == "second"
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077], ids=oct)
def test_tensors_are_for_those_whom_the_umask_lets(tmp_path, umask):
    path, by_hand = tmp_path / "new" / "x.safetensors", tmp_path / "x.txt"
    previous = os.umask(umask)
    try:
        disk.write_tensors(path, {"x": np.arange(3.0)}, {"what": "numbers"})
        by_hand.write_text("x")
    finally:
        os.umask(previous)
    assert path.stat().st_mode == by_hand.stat().st_mode and by_hand.stat().st_mode & 0o777 == 0o666 & ~umask
    with safe_open(path, framework="np") as file:
        assert file.metadata() == {"what": "numbers"}
        np.testing.assert_array_equal(file.get_tensor("x"), np.arange(3.0))
    assert list(path.parent.iterdir()) == [path]


def test_a_second_process_is_refused_and_told_of_the_first_until_that_dies(tmp_path):
    with holding(tmp_path) as holder:
        with pytest.raises(disk.Occupied, match=rf"Process {holder.pid} on .*, since 20"), disk.alone_in(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / ".lock").read_text()  # stale, and harmless
    with disk.alone_in(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".lock").read_text()


def test_a_folder_is_free_again_after_the_block(tmp_path):
    for _ in range(2):
        with warnings.catch_warnings(), disk.alone_in(tmp_path / "new" / "run"):
            warnings.simplefilter("error")
            assert (tmp_path / "new" / "run").is_dir()
    assert not (tmp_path / "new" / "run" / ".lock").read_text()


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
    import fcntl

    def lockf(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.warns(UserWarning, match="cannot be locked .*No locks available.*: start no second run in it"):
        with disk.alone_in(tmp_path):
            pass
