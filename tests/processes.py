"""Python code in processes of its own: alone with a number of devices, or several that find each other."""

import os
import socket
import subprocess
import sys
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
