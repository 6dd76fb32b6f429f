"""What every scorer has in common, whatever library runs its network: pictures in, raw scores and residual maps out.

Inference only, in calls of one fixed batch shape. A short batch is padded. So the score of a picture depends on the
picture and the weights, never on what else is scored with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganomaly.config import Config
from ganomaly.shapes import seen_shape
from ganomaly.tiling import Watched, layout_of

SCORING_BATCH = 32
"""Pictures in every call of the network. Larger gains little on a CPU, smaller costs much."""
VIEWING_BATCH = 8
"""Pictures in every call of the backbone: its first maps are large."""
ON_A_CARD = 8
"""So many times as many pass through the backbone on a graphics card, which is idle between calls; of networks without
it half as many times, which is all of a batch of the queue."""
GRAPHICS_CARD = "graphics card "
"""Stands before the name of a card in what a scorer runs on. Results are stored with it: it is never worded anew."""
TILE_BATCHES = 4
"""Batches of tiles that are cut at a time."""


@dataclass(frozen=True)
class Scores:
    """Of n pictures: `raw` float64 (n,), the raw score; `parts` float64 (n,) each, what it may be: `latent`, the
    paper's score, and mean and maximum over places of the difference between picture and reconstruction, `contextual`
    and `residual`; `maps` float32 (n, height, width), that difference by place, or None: for every pixel in 0..2, or
    with `features` for every 16 x 16 pixels, about 1 on average over good pictures; 0 at places outside of the region.

    Of a picture in tiles, `latent` is the largest of its tiles, `contextual` their mean, and the map theirs joined."""

    raw: np.ndarray
    parts: dict[str, np.ndarray]
    maps: np.ndarray | None

    @classmethod
    def together(cls, scores: "Sequence[Scores]") -> "Scores":
        """Of one or more sets of pictures, in order, without their maps."""
        parts = {name: np.concatenate([one.parts[name] for one in scores]) for name in scores[0].parts}
        return cls(np.concatenate([one.raw for one in scores]), parts, None)


class Scorer(ABC):
    """A network with its weights, and which places of a picture count."""

    def __init__(self, config: Config, times: int = 1) -> None:
        """`times` as many pictures as usual pass through the network together."""
        self.config = config
        # Fewer at a time where every picture passes through large maps.
        self._batch = times * (VIEWING_BATCH if config.architecture == "features" else SCORING_BATCH)
        self.together = max(SCORING_BATCH, self._batch)
        """Pictures that are best handed over at once."""
        self.runs_on = ""
        """The library with its version, the arithmetic, and the processor or card."""
        layout = layout_of(config)
        self._watched = Watched(layout, seen_shape(config)[0])
        self.picture_shape = (*layout.canvas, config.channels)

    @abstractmethod
    def _run(self, pictures: np.ndarray, places: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Parts (batch,) and maps (batch, side, side) of exactly one batch of pictures (batch, size, size, channels),
        uint8 or float32, where `places` (batch, side, side) float32 is 1 where a place counts. Raises MemoryError."""

    @abstractmethod
    def weights(self) -> dict[str, np.ndarray]:
        """All weights and moving statistics, float32, by a name that says where they belong; and, where not all places
        count, which do, bool."""

    def look_at(self, mask: np.ndarray) -> None:
        """From now on only what is inside `mask` counts: (height, width) bool, as large as the pictures."""
        self._watched = self._watched.inside(mask)

    def score(self, pictures: np.ndarray, *, maps: bool = True) -> Scores:
        """Score (n, height, width, channels) pictures, uint8 or float32 in 0..255; any n, 0 included.

        Their shape is `picture_shape`: (size, size, channels), or larger where they are cut into tiles. Raises
        ValueError for another one.
        """
        if pictures.shape[1:] != self.picture_shape:
            raise ValueError(f"pictures are {pictures.shape[1:]}, the network takes {self.picture_shape}")
        if self._watched.layout.whole:
            return self._score_tiles(pictures, maps)
        parts, joined = self._watched.score(
            pictures, lambda tiles: self._score_tiles(tiles, maps), TILE_BATCHES * self._batch
        )
        return Scores(parts[self.config.score], parts, joined)

    def _score_tiles(self, pictures: np.ndarray, maps: bool) -> Scores:
        """Score (n, size, size, channels): whole pictures, or their tiles, one picture after the other."""
        n = len(pictures)
        parts = {name: np.zeros(n) for name in ("latent", "contextual", "residual")}
        residual_maps = np.zeros((n, *seen_shape(self.config)[:2]), np.float32) if maps else None
        for start in range(0, n, self._batch):
            count = min(self._batch, n - start)
            batch = pictures[start : start + count]
            if count < self._batch:
                batch = np.concatenate([batch, np.zeros((self._batch - count, *batch.shape[1:]), batch.dtype)])
            scored, by_place = self._run(batch, self._watched.of_tiles(start, self._batch))
            for name, part in parts.items():
                part[start : start + count] = scored[name][:count]
            if residual_maps is not None:
                residual_maps[start : start + count] = by_place[:count]
        return Scores(parts[self.config.score], parts, residual_maps)
