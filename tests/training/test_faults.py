"""What queues, disks and people do to a run: killed, interrupted, without room or folder, it loses nothing saved."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from sdedit_jax.checkpoints import Checkpointer
from tests.processes import ROOT
from tests.training.killing import EVERY, SAMPLE_EVERY, last_logged, newest_saved, train
from tests.training.runs import assert_same_bits, rows

TRAIN = """
import sys
from pathlib import Path
from sdedit_jax.checkpoints import explained, locked
from tests.training.killing import train

workdir = Path(sys.argv[1])
try:
    with explained(workdir), locked(workdir):
        train(workdir, int(sys.argv[2]))
except ValueError as error:
    sys.exit(f"error: {error}")
"""

# The batch after the first save never comes, so that it cannot stop by itself.
STUCK = """
import sys, time
from pathlib import Path
from tests.training import killing, runs

def batches(step):
    yield from (batch for _, batch in zip(range(killing.EVERY), runs.batches_from(step)))
    time.sleep(1000)

killing.train(Path(sys.argv[1]), 1000, batches=batches)
"""


@pytest.fixture(scope="module")
def cached():
    """The environment for processes that compile as little as they can."""
    return os.environ | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "PYTHONWARNINGS": "ignore::RuntimeWarning"}


def start(command, cached):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=cached, **pipes)


def wait_until(happened, process):
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def assert_goes_on_as_if_nothing_had_happened(workdir, tmp_path):
    """Bit for bit, states and metrics, to a step beyond what was reached."""
    num_steps = newest_saved(workdir) + EVERY
    state = train(workdir, num_steps)
    assert_same_bits(state, train(tmp_path / "undisturbed", num_steps))
    assert rows(workdir) == rows(tmp_path / "undisturbed")


def test_twenty_kills_at_random_moments_change_nothing(tmp_path, cached):
    command = [sys.executable, "-m", "tests.training.killing", str(tmp_path / "run"), "20", "0"]
    with start(command, cached) as process:
        said, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    assert "Traceback" not in error and "damaged" not in error
    kills = [json.loads(line) for line in said.splitlines()]
    assert len(kills) == 20 and len({kill["saved"] for kill in kills}) >= 10
    # The save that is being written, and the step at which the next had not begun: each save waits for the one before.
    assert all(kill["logged"] - kill["saved"] <= 2 * EVERY for kill in kills)
    assert not list(tmp_path.glob("run/damaged_*"))
    assert_goes_on_as_if_nothing_had_happened(tmp_path / "run", tmp_path)


def test_asked_to_stop_while_it_saves_it_stops_after_that(tmp_path, cached):
    """Which nearly always is under way, since a save takes longer than the steps between two."""
    with start([sys.executable, "-c", TRAIN, str(tmp_path / "run"), "1000000"], cached) as process:
        wait_until(lambda: newest_saved(tmp_path / "run") >= EVERY, process)
        process.send_signal(signal.SIGTERM)
        said, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert f"Stopped and saved after step {newest_saved(tmp_path / 'run')} of 1000000." in said


def test_a_second_ctrl_c_quits_and_what_was_saved_stays(tmp_path, cached):
    with start([sys.executable, "-c", STUCK, str(tmp_path / "run")], cached) as process:
        wait_until(lambda: newest_saved(tmp_path / "run") >= EVERY, process)
        deadline = time.monotonic() + 60
        try:
            while process.poll() is None and time.monotonic() < deadline:
                process.send_signal(signal.SIGINT)
                time.sleep(0.1)
        finally:
            process.kill()
        said, error = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert not said and "KeyboardInterrupt" not in error  # it did not try to end by itself
    assert_goes_on_as_if_nothing_had_happened(tmp_path / "run", tmp_path)


def test_a_folder_that_is_removed_ends_the_run_with_a_sentence(tmp_path, cached):
    with start([sys.executable, "-c", TRAIN, str(tmp_path / "run"), "1000000"], cached) as process:
        wait_until(lambda: newest_saved(tmp_path / "run") >= EVERY, process)
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith("error: ") and str(tmp_path / "run") in error.splitlines()[-1]
    with Checkpointer(tmp_path / "elsewhere") as checkpointer:
        assert checkpointer.restore_part("step") >= EVERY


def on_small_disk(script, folder, options="size=1m"):
    """The shell command that runs `script` where `folder` is a file system of its own; skips where that is forbidden.

    Mounting takes a name space of users, which some systems keep from ordinary people.
    """
    mount = f"mount -t tmpfs -o {options} none {shlex.quote(str(folder))}"
    folder.mkdir()
    tried = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no small file system to be had here: {tried.stderr}")
    return ["unshare", "-rm", "sh", "-c", f"{mount} && {script}"]


def test_a_full_disk_ends_the_run_and_with_room_it_goes_on(tmp_path, cached):
    """Room for two steps or so; then all of it is taken, given back, and the same command started again."""
    disk = tmp_path / "disk"
    again = shlex.join([sys.executable, "-c", TRAIN, str(disk / "run")])
    script = f"""
    {again} 1000000 & pid=$!
    while [ ! -e {disk}/run/checkpoints/{EVERY}/crc32.json ]; do sleep 0.05; done
    dd if=/dev/zero of={disk}/filler bs=4k 2>/dev/null
    wait $pid; echo "exit $?"
    {again} 1000000; echo "exit $?"
    rm {disk}/filler
    {again} {2 * SAMPLE_EVERY}; echo "exit $?"
    cp -r {disk}/run {tmp_path}/saved
    """
    with start(on_small_disk(script, disk), cached) as process:
        said, error = process.communicate(timeout=600)
    assert said.splitlines()[:3] == ["exit 1", "exit 1", "exit 0"], (said, error)
    errors = [line for line in error.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all("disk" in line and "is full (" in line and "Make room and start" in line for line in errors)
    assert newest_saved(tmp_path / "saved") == last_logged(tmp_path / "saved") == 2 * SAMPLE_EVERY
    assert_goes_on_as_if_nothing_had_happened(tmp_path / "saved", tmp_path)


CHECK = "import sys; from pathlib import Path; from sdedit_jax.cli.results import check_writable as check; " + (
    "check(Path(sys.argv[1]))"
)


def test_a_disk_that_is_read_only_is_refused_before_anything_long(tmp_path, cached):
    disk = tmp_path / "disk"
    check = shlex.join([sys.executable, "-c", CHECK, str(disk / "run")])
    with start(on_small_disk(check, disk, "size=1m,ro"), cached) as process:
        _, error = process.communicate(timeout=60)
    assert "Cannot write into" in error and "Read-only file system. Choose another folder." in error


def test_a_file_is_refused_as_a_folder(tmp_path, cached):
    (tmp_path / "run").write_text("")
    with start([sys.executable, "-c", CHECK, str(tmp_path / "run")], cached) as process:
        _, error = process.communicate(timeout=60)
    assert "Cannot write into" in error and "Not a directory. Choose another folder." in error
