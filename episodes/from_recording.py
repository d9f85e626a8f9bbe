"""A recording of `armside run` as episodes of a LeRobot dataset: joints from its ticks, pictures as old as they are.

Takes recordings and a writer; gives an episode for each stretch in which the arm followed the policy. A recording keeps
pictures only of the moments in which the policy looked: each frame gets the last one before it, and how old that was is
counted and given back. Knows nothing of bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from episodes.layout import ObservationRecord
from episodes.pictures import read_picture
from episodes.recording import Recording
from episodes.sampling import SHORTEST, Sampler
from policy_spec.errors import DatasetError, sentence
from policy_spec.frames import Frame as JointFrame

if TYPE_CHECKING:
    from episodes.lerobot.plan import DatasetPlan, VideoOptions

Stages = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One frame that is to be written."""

    tick: int  # row of the recording's ticks
    seen: int  # row of its observations: the last before the tick
    task: str


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of recordings."""

    episodes: int
    frames: int
    short: int  # stretches of fewer frames than an episode needs
    picture_age_mean_s: float
    picture_age_max_s: float


def stretches(recording: Recording, fps: int) -> Iterator[list[Row]]:
    """The frames of each stretch in which the arm followed one task, also the short ones."""
    rate = recording.header.rate_hz
    if not rate > 0 or not len(recording.observations):
        what = f"{recording.path}: the bridge's rate and the observations"
        raise DatasetError(sentence(what, expected="some", got="none", do="record it again"))
    times = np.array([seen.t for seen in recording.observations])
    last = np.searchsorted(times, recording.ticks["t"], side="right") - 1
    sampler, rows = Sampler(rate, fps), list[Row]()
    for number, (tick, mode) in enumerate(zip(recording.ticks["tick"], recording.ticks["mode"], strict=True)):
        seen = max(0, int(last[number]))
        task = recording.observations[seen].task
        ended, due = sampler.hear(int(tick), recording.modes[int(mode)], task)
        if ended and rows:
            yield rows
            rows = []
        if due and last[number] >= 0:
            rows.append(Row(number, seen, task))
    if rows:
        yield rows


def plan_of(recording: Recording, fps: int, joints: JointFrame, pictures: str, video: VideoOptions) -> DatasetPlan:
    """The dataset that this recording becomes. Raises DatasetError."""
    from episodes.lerobot.plan import DatasetPlan

    if not recording.observations:
        raise DatasetError(sentence(f"the recording {recording.path} holds no observation", do="record a longer run"))
    names = tuple(f"{joint}.pos" for joint in recording.header.joints)
    images = _pictures(recording, recording.observations[0])
    return DatasetPlan(
        fps=fps,
        robot_type=f"{recording.header.arm}_follower",
        state_names=names,
        action_names=names,
        cameras={slot: (image.shape[0], image.shape[1]) for slot, image in images.items()},
        joint_frame=joints.name,
        pictures=pictures,
        video=video,
    )


def convert(
    recordings: list[Recording], root: Path, plan: DatasetPlan, joints: JointFrame, tell: Stages = lambda *stage: None
) -> Converted:
    """Adds every stretch to the dataset. Raises DatasetError; episodes that were whole by then stay."""
    from episodes.lerobot.writer import Frame, LeRobotWriter

    frames, short, ages = 0, 0, list[float]()
    with LeRobotWriter.open(root, plan) as writer:
        before = writer.episodes
        for recording in recordings:
            cut = list(stretches(recording, plan.fps))
            total, done = sum(map(len, cut)), 0
            for rows in cut:
                if len(rows) < SHORTEST:
                    short += 1
                    continue
                writer.start()
                kept: tuple[int, dict[str, np.ndarray]] | None = None
                for row in rows:
                    seen, tick = recording.observations[row.seen], recording.ticks[row.tick]
                    if kept is None or kept[0] != row.seen:
                        kept = row.seen, _pictures(recording, seen)
                    ages.append(float(tick["t"]) - min(seen.image_times.values(), default=seen.t))
                    state, action = joints.from_si(tick["measured"]), joints.from_si(tick["commanded"])
                    writer.add(Frame(state, action, kept[1], row.task))
                    done += 1
                    tell(recording.path.name, done, total)
                writer.save()
                frames += len(rows)
        made = writer.episodes - before
    age = np.array(ages or [0.0])
    return Converted(made, frames, short, float(age.mean()), float(age.max()))


def _pictures(recording: Recording, seen: ObservationRecord) -> dict[str, np.ndarray]:
    """Of one observation, without a last odd row or column, which videos cannot have."""
    images = {slot: read_picture(recording.path / file) for slot, file in seen.image_files.items()}
    return {slot: image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for slot, image in images.items()}
