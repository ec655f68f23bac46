"""Python code in processes of its own: alone with a number of devices, or several that find each other."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(code, *arguments, num_devices=1, variables=None):
    """A process that runs `code` with `num_devices` CPU devices, and with environment `variables` besides ours."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"XLA_FLAGS": flags} | (variables or {})
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish(process, *, timeout=240):
    """What it printed; it must have ended well."""
    try:
        said, error = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, error
    return said


def free_address():
    """HOST:PORT of a port on this machine that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process that keeps `folder` for itself while the block runs."""
    hold = "import sys, time, pathlib; from sdedit_jax import disk\n"
    hold += "with disk.alone_in(pathlib.Path(sys.argv[1])): print('held', flush=True), time.sleep(600)"
    command = [sys.executable, "-c", hold, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()
