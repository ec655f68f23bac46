"""A signal is a question for the loop; the second Ctrl-C is an order."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sdedit_jax import interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_handled_as_before_afterwards(number):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interrupts.noted() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), number)
        assert interrupted()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # so the next Ctrl-C kills
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_other_threads_are_not_asked():
    answers = []

    def work():
        with interrupts.noted() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]


DEAF = """
import time
from sdedit_jax import interrupts
with interrupts.noted():
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def test_the_second_ctrl_c_quits_at_once():
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", DEAF], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
