"""Processes that share the work on a data set, and end when it does, however it ends."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

# Spawned, not forked: a fork of a process in which JAX has started its threads may hang.
CONTEXT = multiprocessing.get_context("spawn")


def start_processes(
    num_workers: int, initializer: Callable[..., None] | None = None, *arguments: Any
) -> concurrent.futures.ProcessPoolExecutor:
    """`num_workers` processes, in each of which `initializer` is called with `arguments` first.

    Ctrl-C is for the process that started them; if that is killed, they end too.
    """
    return concurrent.futures.ProcessPoolExecutor(num_workers, CONTEXT, _begin, (initializer, arguments))


def _begin(initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # the main thread may wait for work that nobody will send
