"""How a model will look at pictures: region, size and tiles, as asked for or chosen from a sample of good ones."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ganomaly.config import MOST_TILES, SIZES, Config, config_for
from ganomaly.tiling import Layout
from oddlot.errors import TrainingError, UnreadablePicture
from oddlot.settings import Settings
from pictures.decoding import decode, read_bytes
from pictures.preprocessing import Preprocessing, Sample, look_at
from pictures.reading import FILTER
from pictures.region import Region, check_wish, pack_mask, read_mask, rectangle_in, reduce_mask

if TYPE_CHECKING:
    from trainer.fit import FitOptions

AUTO = "auto"
AUTO_TILES = 4
"""Tiles in a row or a column, at most, where nobody says how many: the work grows with their number."""
CHOSEN_STEP = 32
"""A size that nobody asked for is a multiple of this."""
MUCH_SMALLER = 2.0
"""How many times smaller than they are pictures may be looked at before the fit says so."""


@dataclass(frozen=True)
class Look:
    """How pictures are read, the network that takes them, and width and height that they usually have (None where
    none could be read)."""

    preprocessing: Preprocessing
    config: Config
    usual: tuple[int, int] | None

    @property
    def layout(self) -> Layout:
        return Layout(self.config.rows, self.config.columns, self.config.size)


def check_look(roi: str | None, tiles: str | None) -> None:
    """Raises TrainingError for what can be no region or no tiles, before anything is read."""
    if roi is not None:
        check_wish(roi)
    if tiles is not None:
        parse_tiles(tiles)


def parse_tiles(text: str) -> tuple[int, int] | None:
    """Rows and columns of `N` or `RxC`; None for `auto`. Raises TrainingError for anything else."""
    match = re.fullmatch(r"(\d{1,3})(?:x(\d{1,3}))?", text.strip().lower())
    if text.strip().lower() == AUTO:
        return None
    rows, columns = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (1 <= rows <= MOST_TILES and 1 <= columns <= MOST_TILES):
        raise TrainingError(
            f"--tiles {text} cannot be used: give auto, a number from 1 to {MOST_TILES}, or rows x columns, e.g. 2x3"
        )
    return rows, columns


def choose_look(paths: Sequence[str], options: "FitOptions", settings: Settings, say: Callable[[str], None]) -> Look:
    """Look at a sample of good pictures and choose what the options leave open; what was chosen is said.

    Raises TrainingError where region, size or tiles do not fit the pictures.
    """
    region, mask = (None, None) if options.roi is None else _region(options.roi, paths, settings)
    sample = look_at(paths, region, max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes)
    if region is not None and region.picture is not None:
        _check_one_size(sample, options)
    if not sample.sizes:  # the fit ends soon, with the reasons of the files
        config = _config(options, sample, None, 1, 1)
        return Look(sample.preprocessing(config.size), config, None)
    usual = (int(np.median([w for w, _ in sample.sizes])), int(np.median([h for _, h in sample.sizes])))
    wide, tall = (1.0, 1.0) if region is None else region.shares()
    extent = (max(1, round(usual[0] * wide)), max(1, round(usual[1] * tall)))
    rows, columns = _grid(options, extent)
    size = options.size or usual_size(options.architecture, extent, rows, columns)
    config = _config(options, sample, size, rows, columns)
    layout = Layout(rows, columns, size)
    if region is not None and mask is not None:
        inside = reduce_mask(mask, *layout.canvas, FILTER)
        region = replace(region, mask=pack_mask(inside))
    canvas = None if layout.whole else layout.canvas
    for line in _said(options, extent, region, layout):
        say(line)
    return Look(sample.preprocessing(size, canvas, region), config, usual)


def usual_size(architecture: str, extent: tuple[int, int], rows: int = 1, columns: int = 1) -> int:
    """The side of a tile that shows something of `extent` (width, height) pixels as it is, within what is usual: with
    less nothing is gained, with more it takes too long to be used unasked."""
    smallest, _, most = SIZES[architecture]
    share = Layout(1, 1, most).stride / most
    needed = max(extent[0] / (1 + (columns - 1) * share), extent[1] / (1 + (rows - 1) * share))
    return int(min(most, max(smallest, -(-needed // CHOSEN_STEP) * CHOSEN_STEP)))


def _config(options: "FitOptions", sample: Sample, size: int | None, rows: int, columns: int) -> Config:
    config = config_for(options.architecture, options.size or size, sample.channels, options.score)
    return replace(config, rows=rows, columns=columns)


def _grid(options: "FitOptions", extent: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns: asked for, or so many that a pixel of a tile is about one of the picture."""
    if options.tiles is None:
        return 1, 1
    asked = parse_tiles(options.tiles)
    if asked is not None:
        return asked
    size = options.size or SIZES[options.architecture][2]
    stride = Layout(1, 1, size).stride
    width, height = extent
    columns, rows = (min(AUTO_TILES, max(1, round((side - size) / stride) + 1)) for side in (width, height))
    return rows, columns


def _said(options: "FitOptions", extent: tuple[int, int], region: Region | None, layout: Layout) -> list[str]:
    """What a person should know of the choice."""
    what = "pictures are" if region is None else "the region is"
    lines = [f"looking only at {region}"] if region is not None else []
    start = f"{what} {extent[0]}x{extent[1]}"
    if options.size is None:
        lines.append(f"{start}: size {layout.size} is used (--size chooses another)")
    if options.tiles is not None:
        count = layout.rows * layout.columns
        tiles = (
            "one tile shows them as they are" if layout.whole
            else f"cut into {layout.rows}x{layout.columns} overlapping tiles of {layout.size}x{layout.size}, "
            f"{count} times the work of one"
        )  # fmt: skip
        lines.append(f"{start}: {tiles}")
    smaller = max(extent[0] / layout.canvas[1], extent[1] / layout.canvas[0])
    if smaller >= MUCH_SMALLER:
        largest = SIZES[options.architecture][1]
        ways = [f"--size {largest}"] if layout.size < largest else []
        ways += ["--tiles auto" if options.tiles is None else "more --tiles"]
        more = " or ".join(ways)
        lines.append(f"they are looked at {smaller:.1f} times smaller than they are: {more} would keep small defects")
    return lines


def _region(roi: str, paths: Sequence[str], settings: Settings) -> tuple[Region, np.ndarray | None]:
    """The region that is meant, and its mask in the pixels of the picture, or None."""
    picture = _first_size(paths, settings)
    rectangle = rectangle_in(roi, picture)
    return (rectangle, None) if rectangle is not None else read_mask(roi, picture)


def _first_size(paths: Sequence[str], settings: Settings) -> tuple[int, int]:
    for path in paths:
        try:
            data, _ = read_bytes(path, max_file_bytes=settings.max_file_bytes)
            return decode(data, max_pixels=settings.max_pixels).upright
        except UnreadablePicture:
            continue
    raise TrainingError("none of the files is a readable picture: --roi has nothing to lie in")


def _check_one_size(sample: Sample, options: "FitOptions") -> None:
    sizes = sorted(set(sample.sizes), key=sample.sizes.count, reverse=True)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sizes[:3]) + (", ..." if len(sizes) > 3 else "")
        raise TrainingError(
            f"--roi {options.roi} needs pictures of one size, but there are {shown}: "
            "give the region in percent, e.g. 10%,20%,50%,40%"
        )
