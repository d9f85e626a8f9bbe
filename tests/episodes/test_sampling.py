"""Which ticks become frames: at the rate, while the arm follows; where episodes end."""

from __future__ import annotations

from episodes.sampling import Sampler


def taken(modes: list[str], fps: int = 30, tasks: dict[int, str] | None = None) -> list[tuple[int, bool]]:
    """(tick, whether an episode ended before) of every frame."""
    sampler, out, ended = Sampler(100.0, fps), [], False
    for tick, mode in enumerate(modes):
        over, due = sampler.hear(tick, mode, (tasks or {}).get(tick // 100, "reach"))
        ended = ended or over
        if due:
            out.append((tick, ended))
            ended = False
    return out


def test_frames_lie_at_the_rate() -> None:
    ticks = [tick for tick, _ in taken(["ready"] * 7 + ["running"] * 100)]
    assert ticks[:4] == [7, 10, 14, 17] and len(ticks) == 30
    assert taken(["shadow", "ready", "paused"] * 30) == []


def test_waiting_belongs_to_the_episode_and_pausing_ends_it() -> None:
    frames = taken(["running"] * 20 + ["ready"] * 20 + ["running"] * 20 + ["paused"] * 20 + ["running"] * 20)
    assert [tick for tick, ended in frames if ended] == [80]
    assert {tick for tick, _ in frames} & set(range(20, 40)) and not {t for t, _ in frames} & set(range(60, 80))


def test_another_task_is_another_episode() -> None:
    frames = taken(["running"] * 200, tasks={0: "reach", 1: "push"})
    assert [tick for tick, ended in frames if ended] == [100]
