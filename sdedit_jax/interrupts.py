"""Ctrl-C and SIGTERM (what queues send before they kill) as a question, so that work can end where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Yields whether the process was asked to stop since: a function that a loop calls where it may end.

    After the first signal a Ctrl-C kills the process at once. Signals belong to the main thread; in any other they
    keep the meaning they have, and the answer stays False.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        # Not KeyboardInterrupt: that would wait for what compiles or is being written.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    numbers = [signal.SIGINT, signal.SIGTERM] if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
