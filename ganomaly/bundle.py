"""A bundle: all that a fit leaves behind, as a folder of eight plain files.

network.json (the configuration), weights.npz, calibration.json, preprocessing.json (for whoever reads the
pictures; not understood here), card.json (what is told to people), golden.npz (pictures with the raw scores
that they had), synthetic.png (a contact sheet for people, never decoded here), and
manifest.json with size and SHA-256 of each. The SHA-256 of the manifest names the whole. Nothing in a bundle
is executed, and nothing is read beyond the size that it may have.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganomaly.arrays import pack_arrays, unpack_arrays
from ganomaly.bundle_folder import BundleFolder, refusing, write_folder
from ganomaly.calibration import Calibration
from ganomaly.manifest import (
    MANIFEST,
    SHEET,
    SIGNATURE,
    SealedFiles,
    Verify,
    from_json,
    make_manifest,
    sha256_of,
    to_json,
)
from ganomaly.precision import BFLOAT16, FLOAT32, INT8
from ganomaly.scoring import GRAPHICS_CARD
from oddlot.errors import BundleError
from oddlot.words import Runtime

if TYPE_CHECKING:
    from ganomaly.scoring import Scorer
    from ganomaly.signing import Sign

GOLDEN_TOLERANCES = {FLOAT32: 1e-5, BFLOAT16: 0.02, INT8: 0.02}
"""How far a golden picture's score may be from the stored one, as a share of it or of the threshold: in less precise
arithmetic, processors add up in other orders and round where others do not."""
CARD_TOLERANCE = 1e-3
"""The same where a graphics card computed one of the two, which may take other ways to the same convolution."""


@dataclass(frozen=True)
class BundleHead:
    """What a bundle says without its network. `sha256` is that of its manifest."""

    calibration: Calibration
    preprocessing: dict[str, Any]
    card: dict[str, Any]
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """A verified model, ready to score."""

    detector: "Scorer"
    calibration: Calibration
    preprocessing: dict[str, Any]
    card: dict[str, Any]
    sha256: str


def write_bundle(
    folder: Path, *, detector: "Scorer", calibration: Calibration, preprocessing: dict[str, Any],
    card: dict[str, Any], golden: np.ndarray, sheet: bytes, sign: "Sign | None" = None,
) -> str:  # fmt: skip
    """Write a bundle as the new folder `folder`, whole or not at all; returns the SHA-256 of its manifest.

    `golden` (k, height, width, channels) uint8 or float32 in 0..255 are pictures that are scored now and
    whenever the bundle is opened; `sheet` becomes synthetic.png; `sign` gives the signature of the manifest. Raises
    BundleError where `folder` exists or cannot be written.
    """
    golden = np.asarray(golden)
    raw = np.asarray(detector.score(golden, maps=False).raw, dtype=np.float64)
    files = {
        "network.json": to_json(detector.config.to_dict()),
        "weights.npz": pack_arrays(detector.weights()),
        "calibration.json": to_json(calibration.to_dict()),
        "preprocessing.json": to_json(preprocessing),
        "card.json": to_json(card),
        "golden.npz": pack_arrays({"pictures": golden, "raw": raw}),
        SHEET: sheet,
    }
    manifest = make_manifest(files)
    signed = {} if sign is None else {SIGNATURE: sign(manifest)}
    write_folder(folder, files | {MANIFEST: manifest} | signed)
    return sha256_of(manifest)


def read_card(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """The verified card of a bundle. Raises BundleError."""
    with refusing(folder):
        return _table(BundleFolder(folder, sha256), "card.json")


def read_sheet(folder: Path, sha256: str | None = None) -> bytes:
    """The verified bytes of the contact sheet. Raises BundleError."""
    with refusing(folder):
        return BundleFolder(folder, sha256).read(SHEET)


def read_golden(folder: Path, sha256: str | None = None) -> np.ndarray:
    """The verified golden pictures alone, (k, height, width, channels) uint8 or float32 in 0..255: good ones that were
    held out of the training. Raises BundleError."""
    with refusing(folder):
        pictures = _arrays(BundleFolder(folder, sha256), "golden.npz").get("pictures")
        if pictures is None or pictures.ndim != 4:
            raise BundleError("golden.npz does not hold pictures")
        return pictures


def read_bundle_head(folder: Path, sha256: str | None = None, trusted: Verify | None = None) -> BundleHead:
    """What can be known of a bundle without TensorFlow; only the files that are read are hashed.

    Raises BundleError.
    """
    with refusing(folder):
        return _read_head(BundleFolder(folder, sha256, trusted))


def open_bundle(
    folder: Path, sha256: str | None = None, *, check_golden: bool = True, runtime: Runtime = Runtime.AUTO,
    threads: int | None = None, trusted: Verify | None = None,
) -> Bundle:  # fmt: skip
    """Verify every file of a bundle, build its detector and score the golden pictures again.

    `sha256` is the hash that `write_bundle` returned (None: any bundle that agrees with itself); `check_golden` False
    skips the scoring; `runtime` and `threads` as in `runtime.scorer_for`; `trusted` refuses what nobody who is trusted
    signed. Raises BundleError naming the file where one is missing, damaged, unknown, or does not give the scores that
    were stored.
    """
    with refusing(folder):
        head, parts = read_parts(BundleFolder(folder, sha256, trusted))
        detector = _detector(parts, runtime, threads)
        if check_golden:
            _check_golden(
                detector, head.calibration, parts, tolerance_of(detector.config.precision, head.card, runtime)
            )
        return Bundle(detector, head.calibration, head.preprocessing, head.card, head.sha256)


@dataclass(frozen=True)
class Parts:
    """The rest of a bundle: what a detector is built from and checked with, as plain values."""

    network: dict[str, Any]
    weights: dict[str, np.ndarray]
    golden_pictures: np.ndarray
    golden_scores: np.ndarray


def read_parts(files: SealedFiles) -> tuple[BundleHead, Parts]:
    """Read and check all files, without TensorFlow. Raises BundleError."""
    golden = _arrays(files, "golden.npz")
    if set(golden) != {"pictures", "raw"}:
        raise BundleError("golden.npz does not hold just pictures and their scores")
    pictures, raw = golden["pictures"], golden["raw"]
    if pictures.ndim != 4 or raw.shape != pictures.shape[:1] or not np.isfinite(raw).all():
        raise BundleError("golden.npz does not hold one score for each of its pictures")
    network, weights = _table(files, "network.json"), _arrays(files, "weights.npz")
    files.read(SHEET)  # for its hash alone
    return _read_head(files), Parts(network, weights, pictures, raw)


def _read_head(files: SealedFiles) -> BundleHead:
    return BundleHead(
        calibration=Calibration.from_dict(_table(files, "calibration.json")),
        preprocessing=_table(files, "preprocessing.json"),
        card=_table(files, "card.json"),
        sha256=files.sha256,
    )


def _table(files: SealedFiles, name: str) -> dict[str, Any]:
    return from_json(name, files.read(name))


def _arrays(files: SealedFiles, name: str) -> dict[str, np.ndarray]:
    try:
        return unpack_arrays(files.read(name))
    except ValueError as error:
        raise BundleError(f"{name} cannot be used: {error}") from error


def _detector(parts: Parts, runtime: Runtime, threads: int | None) -> "Scorer":
    from ganomaly.config import Config
    from ganomaly.runtime import scorer_for
    from ganomaly.tiling import layout_of

    config = Config.from_dict(parts.network)
    if parts.golden_pictures.shape[1:] != (*layout_of(config).canvas, config.channels):
        raise BundleError("golden.npz holds pictures of another size than the network takes")
    try:
        return scorer_for(config, parts.weights, runtime, threads)
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"weights.npz does not fit the network of network.json: {reason}") from error


def tolerance_of(precision: str, card: dict[str, Any], runtime: Runtime, scored_on: str | None = None) -> float:
    """How far a score may be from what it was, as a share of it or of the threshold: of a model with that `card.json`,
    where this `runtime` computes it again, and what scored it then runs on `scored_on` (`Scorer.runs_on`)."""
    on_card = Runtime.GPU in (runtime, card.get("runtime")) or GRAPHICS_CARD in (scored_on or "")
    return max(GOLDEN_TOLERANCES[precision], CARD_TOLERANCE if on_card else 0.0)


def _check_golden(detector: "Scorer", calibration: Calibration, parts: Parts, tolerance: float) -> None:
    stored = parts.golden_scores
    if not len(stored):
        return
    raw = detector.score(parts.golden_pictures, maps=False).raw
    # Relative to the threshold where a score is smaller: below it, differences decide nothing.
    excess = np.abs(raw - stored) - tolerance * np.maximum(np.abs(stored), abs(calibration.threshold))
    worst = int(np.argmax(excess))
    if not excess[worst] <= 0:
        raise BundleError(
            f"golden.npz: picture {worst} now scores {raw[worst]:.6g} and not {stored[worst]:.6g}: "
            "this machine or its libraries compute something else than those of the fit"
        )
