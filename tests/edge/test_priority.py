"""Inference runs below the bridge; whoever opened it does not."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from edge.priority import NICE, in_background, step_back


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def started_by_me() -> int:
    """The priority that a thread inherits."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(own()))
    thread.start()
    thread.join()
    return found[0]


def test_what_is_opened_in_the_background_starts_threads_below_the_caller() -> None:
    before = own()
    assert in_background(started_by_me) == max(NICE, before)
    assert own() == before and started_by_me() == before


def test_stepping_back_twice_is_once() -> None:
    def twice() -> int:
        step_back()
        step_back()
        return own()

    assert in_background(twice) == max(NICE, own())


def test_what_fails_in_the_background_fails_here() -> None:
    def fail() -> None:
        raise ValueError("from there")

    with pytest.raises(ValueError, match="from there"):
        in_background(fail)


def test_ctrl_c_waits_for_what_cannot_be_cut_short() -> None:
    """A process that ends while an engine is being built is aborted by the C++ runtime: a crash instead of 130."""
    ended: list[bool] = []

    def build() -> None:
        time.sleep(0.1)  # let the caller wait
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        in_background(build)
    assert ended
