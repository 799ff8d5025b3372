"""A real Linux behind the names of the model: `Linux()` is the machine that one sits at.

`machine` has Linux itself, `task`, `files` and `cpuset` what is made with it.  `worker` is the process that a task is,
`calls` has the system calls, `topology` reads which nodes there are, `errors` says what an errno means and what can be
done instead of what only the model can.  Standard library alone.
"""

from .machine import Linux

__all__ = ["Linux"]
