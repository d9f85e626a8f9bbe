"""Depth guessed from one picture by a model of the transformers library: for datasets that have no depth camera.

Takes a model's folder, or its name on the hub; gives maps from 0 (the nearest of the picture) to 1 (the farthest).
Such models say disparity, or depth up to a scale, so each picture is stretched to its own nearest and farthest point,
as MolmoAct2's own labels were. Knows nothing of datasets and codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    import numpy as np

    from episodes.lerobot.episode import EpisodeView

METRIC = "metric"  # depth_estimation_type of models that say distance, not disparity


class Monocular:
    """One opened model."""

    def __init__(self, name: str) -> None:
        """Raises UsageError where transformers is missing, or the model cannot be opened."""
        try:
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
        except ImportError as error:
            do = "pip install 'armside[depth]', or use a dataset with a depth camera"
            what = "--monocular needs transformers"
            raise UsageError(sentence(what, expected="the package transformers", got=error, do=do)) from error
        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(name)
            self._model: Any = AutoModelForDepthEstimation.from_pretrained(name).eval()
        except (OSError, ValueError) as error:
            do = "name a folder, or a model of the hub, for depth estimation"
            what = f"--monocular {name}"
            raise UsageError(sentence(what, expected="a depth estimation model", got=error, do=do)) from error
        self._distance = getattr(self._model.config, "depth_estimation_type", "relative") == METRIC

    def maps_of(self, camera: str) -> Callable[[EpisodeView, int], np.ndarray]:
        """What gives a frame's map from the camera's picture."""
        return lambda view, frame: self.map(view.picture(camera, frame))

    def map(self, picture: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 [h, w], 0 the nearest to 1 the farthest; 0.5 everywhere where nothing differs."""
        import numpy as np
        import torch

        with torch.no_grad():
            said = self._model(**self._processor(images=picture, return_tensors="pt")).predicted_depth[0]
        values = np.asarray(said.float().numpy(), np.float32)
        low, high = float(values.min()), float(values.max())
        if not high > low:
            return np.full(values.shape, 0.5, np.float32)
        share = (values - low) / np.float32(high - low)
        return share if self._distance else np.float32(1) - share
