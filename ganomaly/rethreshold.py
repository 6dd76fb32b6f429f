"""The same network with another threshold: a new bundle of an old one's files, without TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganomaly.bundle_folder import BundleFolder, refusing, write_folder
from ganomaly.calibration import Calibration
from ganomaly.manifest import LIMITS, MANIFEST, SIGNATURE, Verify, make_manifest, sha256_of, to_json

if TYPE_CHECKING:
    from ganomaly.signing import Sign

SCORING_FILES = ("network.json", "weights.npz", "preprocessing.json")
"""The files of a bundle that decide which raw score a picture gets."""


def rethreshold(
    folder: Path, sha256: str, new_folder: Path, *, calibration: Calibration, card: dict[str, Any],
    trusted: Verify | None = None, sign: "Sign | None" = None,
) -> str:  # fmt: skip
    """Write the bundle `folder` as the new folder `new_folder` with another calibration and card; returns the SHA-256
    of its manifest.

    Every file is verified on the way, and with `trusted` who signed it; `sign` signs the new one. Raises
    BundleError where `folder` is damaged, has not the hash `sha256` or is not trusted, and where `new_folder` exists or
    cannot be written.
    """
    with refusing(folder):
        bundle = BundleFolder(folder, sha256, trusted)
        files = {name: bundle.read(name) for name in LIMITS}
    files |= {"calibration.json": to_json(calibration.to_dict()), "card.json": to_json(card)}
    manifest = make_manifest(files)
    signed = {} if sign is None else {SIGNATURE: sign(manifest)}
    write_folder(new_folder, files | {MANIFEST: manifest} | signed)
    return sha256_of(manifest)


def scoring_hashes(folder: Path, sha256: str) -> tuple[str, ...]:
    """What two bundles share exactly where every picture has the same raw score with both: hashes that the manifest
    lists. Raises BundleError where it is not the registered one."""
    with refusing(folder):
        bundle = BundleFolder(folder, sha256)
        return tuple(bundle.listed_sha256(name) for name in SCORING_FILES)
