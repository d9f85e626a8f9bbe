"""One tree of errors for everything but the servo bus (which has its own in firmware_bridge).

ArmsideError
+-- CheckpointError     a checkpoint's files, tensors or configuration
|   +-- TensorError     a missing, extra or misshapen tensor
|   +-- HubError        a checkpoint that could not be fetched
+-- SpecError           what a policy says of itself: tags, cameras, frames
+-- ObservationError    what a robot or camera gave: shapes, NaN, counts
+-- PromptError         a task that does not fit the prompt bracket
+-- BundleError         a bundle that is corrupt, truncated or from a newer version
+-- ExportError         a graph that could not be made or does not agree with the model
|   +-- QuantError        a precision plan, a scheme or activation statistics that cannot be used
+-- SessionError        an engine that could not be opened or does not reproduce its golden
|   +-- AnswerError     what a policy generated is not a chunk of actions: the arm holds
+-- CameraError         a camera that is not there or stopped
+-- RecordingError      a recording that cannot be written or read
|   +-- DatasetError    a dataset of episodes, its statistics or pictures
+-- SimError            a simulated world that cannot be made, moved or seen
+-- UsageError          a command line that cannot be obeyed
+-- Cancelled           a person wanted out; everything is as it was before
"""

from __future__ import annotations


class ArmsideError(Exception):
    """Base of all errors meant for a person. The text says what, expected, got and what to do."""


class CheckpointError(ArmsideError):
    """A checkpoint's files, tensors or configuration."""


class TensorError(CheckpointError):
    """A missing, extra or misshapen tensor."""


class HubError(CheckpointError):
    """A checkpoint that could not be fetched from the hub."""


class SpecError(ArmsideError):
    """What a policy says of itself: norm tags, camera slots, joint frames."""


class ObservationError(ArmsideError):
    """What a robot or a camera gave: shapes, counts, NaN."""


class PromptError(ArmsideError):
    """A task that does not fit the prompt bracket."""


class BundleError(ArmsideError):
    """A bundle that is corrupt, truncated, or written by a newer version."""


class ExportError(ArmsideError):
    """A graph that could not be made, or does not agree with the model."""


class QuantError(ExportError):
    """A precision plan, a scheme or activation statistics that cannot be used."""


class SessionError(ArmsideError):
    """An engine that could not be opened, or does not reproduce its golden values."""


class AnswerError(SessionError):
    """What a policy generated is not a chunk of actions. Whoever drives an arm holds it, and never sends zeros."""


class CameraError(ArmsideError):
    """A camera that is not there, or stopped."""


class RecordingError(ArmsideError):
    """A recording that cannot be written or read."""


class DatasetError(RecordingError):
    """A dataset of episodes, its statistics or its pictures, that cannot be written or read."""


class SimError(ArmsideError):
    """A simulated world: a scene that cannot be built, a name it lacks, a picture that cannot be drawn."""


class UsageError(ArmsideError):
    """A command line that cannot be obeyed."""


class Cancelled(ArmsideError):
    """A person wanted out. Whoever raises it leaves files and servos as they were."""


def sentence(what: str, *, expected: object = None, got: object = None, do: str = "") -> str:
    """The text of an error: what, expected, got, what to do; parts that are absent are left out."""
    parts = [what]
    if expected is not None:
        parts.append(f"expected: {expected}")
    if got is not None:
        parts.append(f"got: {got}")
    if do:
        parts.append(f"what to do: {do}")
    return "; ".join(parts)
