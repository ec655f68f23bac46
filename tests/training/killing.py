"""Kills a run at random moments and starts it again: `python -m tests.training.killing WORKDIR NUM_KILLS SEED`.

Prints, for each kill, the last step that was logged and the newest that was saved, as JSON. The runs are forked from
this process, which has imported everything and touched no device, since importing takes longer than what is killed.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from sdedit_jax.checkpoints import Checkpointer
from tests.training.networks import Small
from tests.training.runs import run

EVERY = 5
SAMPLE_EVERY = 40
STARTUP_SECONDS = 1.5  # roughly: reading the checkpoint, and compiling from the cache
SAVING_SECONDS = 0.3  # several saves, of which one is nearly always under way


def train(workdir: Path, num_steps: int, **fields):
    """The run that is killed."""
    return run(workdir, num_steps, model=Small(), every=EVERY, log_every=1, sample_every=SAMPLE_EVERY, **fields)


def last_logged(workdir: Path) -> int:
    path = workdir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []  # the last may be half written
    return json.loads(lines[-1])["step"] if lines else 0


def newest_saved(workdir: Path) -> int:
    with Checkpointer(workdir) as checkpointer:
        return checkpointer.latest_step() or 0


def fork(workdir: Path) -> int:
    if pid := os.fork():
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        train(workdir, 1_000_000)
    finally:
        os._exit(1)  # it is killed before


def wait_for_a_new_save(workdir: Path, pid: int) -> None:
    before, deadline = newest_saved(workdir), time.monotonic() + 60
    while newest_saved(workdir) <= before:
        if os.waitpid(pid, os.WNOHANG) != (0, 0) or time.monotonic() > deadline:
            sys.exit("The run ended by itself, or saves nothing.")
        time.sleep(0.005)


def main(workdir: Path, num_kills: int, seed: int) -> None:
    random_moment = random.Random(seed)
    for number in range(num_kills):
        pid = fork(workdir)
        try:
            if number % 4 == 3:  # while it starts
                time.sleep(random_moment.uniform(0, STARTUP_SECONDS))
            else:  # while it saves
                wait_for_a_new_save(workdir, pid)
                time.sleep(random_moment.uniform(0, SAVING_SECONDS))
        finally:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "it was to be killed"
        print(json.dumps({"logged": last_logged(workdir), "saved": newest_saved(workdir)}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("terminated"))  # and its run with it
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
