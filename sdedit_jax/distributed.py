"""The processes of one run, on one host or many: found and connected by JAX, or by flags, and their few agreements.

JAX finds the others on TPU pods, under SLURM and Open MPI, and in an indexed Job of Kubernetes (`jax.distributed`);
anywhere else each process is told. Without any sign of others nothing is connected, and everything here is immediate.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

TIMEOUT_SECONDS = 300.0  # in which the last process has to have started; that of JAX


class DistributedError(ValueError):
    """Processes that do not come together, or not to the same result."""


def initialize(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Connects this process with the others of its run, if it has others; to be called before JAX is used.

    From then on only process 0 writes to the standard output, and an exception that nobody catches ends the process at
    once, as `leave` does.

    Args:
        coordinator: "HOST:PORT" at which process 0 is reached by all, with a port that is free there.
        num_processes: of the run. 1: stay alone, whatever JAX would find.
        process_id: 0 to num_processes - 1. What is None is left to JAX.
        timeout_seconds: to wait for the others.

    Raises:
        DistributedError: for arguments that do not fit each other, and when the others are not found in time.
    """
    given = {"coordinator_address": coordinator, "num_processes": num_processes, "process_id": process_id}
    _check(coordinator, num_processes, process_id)
    launcher = None if num_processes == 1 else _launcher()
    if num_processes == 1 or (launcher is None and not any(value is not None for value in given.values())):
        return
    if launcher is None and None in given.values():
        raise DistributedError(f"Processes that are started by hand need all of {_FLAGS}.")
    _connect(launcher, given, timeout_seconds)
    sys.excepthook = _end_at_once
    if not is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    # On CPUs gloo gives them 30 seconds to come to the first thing that they do together, and compilation takes longer.
    wait_for_all()


def is_first() -> bool:
    """Whether this is process 0, which speaks and writes for all."""
    import jax

    return jax.process_index() == 0


@contextlib.contextmanager
def written_once(folder: Path) -> Iterator[Path]:
    """`folder` in process 0; in the others, which do the same work, a folder that is thrown away."""
    if is_first():
        yield folder
    else:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)


def is_mine(number: int) -> bool:
    """Whether it is this process that writes the result of this number; each is written by one."""
    import jax

    return number % jax.process_count() == jax.process_index()


def gather(rows: np.ndarray) -> np.ndarray:
    """(processes x B, ...): the rows (B, ...) of all processes, those of process 0 first, in every process."""
    import jax
    from jax.experimental import multihost_utils

    return rows if jax.process_count() == 1 else multihost_utils.process_allgather(rows, tiled=True)


def wait_for_all() -> None:
    """Returns when every process has come here."""
    gather(np.zeros(1, np.int32))


def require_same(value: int, what: str) -> None:
    """Waits for all processes; DistributedError in each, beginning with `what`, unless all came with one value."""
    values = gather(np.array([value], np.int32))
    if (values != values[0]).any():
        listed = ", ".join(str(value) for value in values)
        raise DistributedError(f"{what} differs between the processes: {listed}.")


def leave(message: str) -> NoReturn:
    """Ends the program with `message` as its error, without waiting for processes that may wait for this one.

    The others notice that a connection is gone, and end too.
    """
    if not _is_connected():
        sys.exit(message)
    print(message, file=sys.stderr)
    _end_now()


_FLAGS = "--coordinator HOST:PORT, --num_processes N and --process_id I"


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    if coordinator is not None and not re.fullmatch(r".+:\d{1,5}", coordinator):
        raise DistributedError(f"--coordinator must be HOST:PORT, for example node1:4711, got {coordinator!r}.")
    if num_processes is not None and num_processes < 1:
        raise DistributedError(f"--num_processes must be 1 or more, got {num_processes}.")
    last = "num_processes - 1" if num_processes is None else num_processes - 1
    if process_id is not None and not 0 <= process_id < (num_processes or sys.maxsize):
        raise DistributedError(f"--process_id must be 0 to {last}, got {process_id}.")


def _launcher() -> str | None:
    """What has started several processes that JAX can find, as far as the environment tells; None for nothing."""
    variables = os.environ
    if "SLURM_STEP_NODELIST" in variables and int(variables.get("SLURM_NTASKS", 1)) > 1:
        return "SLURM"
    if int(variables.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        return "Open MPI"
    if _on_tpu():
        return "the TPU"
    # A pod may be of anything; the index is what a Job gives to each of several.
    if "KUBERNETES_SERVICE_HOST" in variables and "JOB_COMPLETION_INDEX" in variables:
        return "Kubernetes"
    return None


def _on_tpu() -> bool:
    if importlib.util.find_spec("libtpu") is None:
        return False
    import jax  # noqa: F401  # which looks for the chips and says so in the environment

    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES")
    alone = "TPU_SKIP_MDS_QUERY" in os.environ if hosts is None else "," not in hosts
    return "TPU_ML_PLATFORM" in os.environ and not alone


def _connect(launcher: str | None, given: dict[str, Any], timeout_seconds: float) -> None:
    import jax

    through = launcher or f"the coordinator {given['coordinator_address']}"
    # Without a launcher there is nothing to detect, and to look for it would ask servers that may not be there.
    method = None if launcher else "deactivate"
    # It would take SIGTERM from `interrupts`, and from modes that it is to end at once.
    jax.config.update("jax_enable_preemption_service", False)
    errors: list[Exception] = []

    def connect() -> None:
        try:
            timeout = int(timeout_seconds) + 3600
            jax.distributed.initialize(**given, cluster_detection_method=method, initialization_timeout=timeout)
        except Exception as error:  # whatever a launcher's environment trips over
            errors.append(error)

    # When its own time is up, JAX ends the process with a trace of C++ calls; so the time is taken here.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        raise DistributedError(
            f"The processes did not find each other through {through} within {timeout_seconds:g} seconds. Are all of "
            "them running, and does each reach process 0 there?"
        )
    if errors:
        raise DistributedError(
            f"The processes could not be connected through {through}: {errors[0]} Give {_FLAGS}, or "
            "--num_processes 1 for a process that is alone."
        ) from errors[0]


def _is_connected() -> bool:
    """Whether there are others, or were to be."""
    if "jax" not in sys.modules:
        return False
    import jax

    return jax.distributed.is_initialized()


def _end_at_once(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, traceback)
    _end_now()


def _end_now() -> NoReturn:
    # At a usual exit JAX waits minutes for the others, and they for what this process was to compute.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
