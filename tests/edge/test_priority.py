"""Inference runs below the bridge; whoever opened it does not."""

from __future__ import annotations

import os
import threading

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
