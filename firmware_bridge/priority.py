"""A better place in the scheduler's queue, where the machine allows one. Never required."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# SCHED_FIFO, for what mostly sleeps: a bridge that spins must not keep its supervisor from the processor; virtual
# servos come before it, as real ones have processors of their own.
SUPERVISOR, SERVOS, BRIDGE = 30, 25, 20
NICE = -10


def prefer(priority: int) -> str:
    """Ask for real-time scheduling of this process, else for niceness; what came of it, for people."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        return f"scheduled in real time (SCHED_FIFO {priority})"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return f"scheduled with niceness {NICE}"
    return "scheduled as any program: for fewer late ticks allow rtprio to this user (/etc/security/limits.conf)"


def favour() -> None:
    """For virtual motors and worlds, which compute much: before others in the queue, but in the same queue.

    Real-time priority is not for them: two such processes fill a small machine, and the kernel's own workers, which
    carry the bytes of every pseudo-terminal, wait until they pause. Then other arms' servos seem silent.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if os.getsid(0) == os.getpid():  # Linux weighs whole sessions against each other first; this one is ours alone
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))


def as_any_program() -> None:
    """For a thread that may wait: give back what it inherited."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
