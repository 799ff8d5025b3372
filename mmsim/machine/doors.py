"""The doors of a machine: calls that change it come in one at a time, and none goes on where one was broken off."""

import functools
import threading

from .errors import MMSimError


class Doorkeeper:
    """Who is in a machine, and whether anything has been changed since they came in."""

    def __init__(self):
        self._lock, self._depth = threading.RLock(), 0  # its thread may come in again, for calls within calls
        self.begun = False  # tables were changed, so that a call that ends now ends half-way

    def enter(self):
        """Come in; RuntimeError if another thread is inside."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("another thread is in a call of this machine: give each thread a Kernel of its own")
        self._depth += 1
        if self._depth == 1:
            self.begun = False

    def leave(self):
        """Go out again."""
        self._depth -= 1
        self._lock.release()


def door(method):
    """Decorate a method of Kernel, or of what has a `_kernel`, that changes the machine.

    A call answers with a result, an errno or an error of the model.  Whatever else ends it once it has begun (ctrl-C,
    the stop button, an observer that raises) leaves tables half changed: then the machine stands still.
    """

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        kernel = getattr(self, "_kernel", self)
        keeper = kernel._doorkeeper
        keeper.enter()
        try:
            kernel._check_bug("this machine stands still, restore() a snapshot: ")
            result = method(self, *args, **kwargs)
            keeper.begun = True  # where this was a call within a call, the outer one has got somewhere
            return result
        except (OSError, MMSimError):
            raise
        except BaseException:
            if keeper.begun:
                kernel._broken_off()
            raise
        finally:
            keeper.leave()

    return call
