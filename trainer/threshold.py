"""Another threshold for a model that is there: a new version with the same network, without a fit."""

import copy
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from db import models
from db.models import ModelRow
from oddlot.errors import StateError
from oddlot.settings import Settings
from oddlot.words import ModelState

if TYPE_CHECKING:
    from ganomaly.calibration import Calibration


def calibrated_for(settings: Settings, model: ModelRow, false_alarms: float) -> "Calibration":
    """The calibration of a model for another false-alarm rate, in (0, 1), from the same calibration pictures.

    Raises CalibrationError where they are too few for it, BundleError where the bundle is gone or damaged.
    """
    from ganomaly.bundle import read_bundle_head
    from ganomaly.calibration import Calibration
    from ganomaly.signing import load_trusted_keys

    head = read_bundle_head(_folder(settings, model), model.bundle_sha256, load_trusted_keys(settings.trusted_keys))
    return Calibration.fit(head.calibration.scores, false_alarms, method=head.calibration.method)


def apply_threshold(engine: Engine, settings: Settings, model: ModelRow, calibration: "Calibration") -> ModelRow:
    """Register the model once more with that calibration of `calibrated_for`: raw scores and p-values stay as they are,
    the threshold moves, and with it the scores, whose 0.5 is at the threshold.

    The new version is active, or a candidate where `model` is one. Raises StateError where the threshold is that of the
    model already, BundleError where the bundle is damaged or the new one cannot be written.
    """
    from ganomaly.bundle import read_bundle_head
    from ganomaly.bundle_store import new_bundle
    from ganomaly.rethreshold import rethreshold
    from ganomaly.signing import load_trusted_keys, load_trusted_signer

    sign = load_trusted_signer(settings.signing_key, settings.trusted_keys)

    if calibration.threshold == model.threshold:
        raise StateError(
            f"version {model.version} of {model.name} has that threshold already: with {calibration.n} calibration "
            f"pictures a false-alarm rate of {calibration.false_alarms:g} is no other than {model.false_alarms:g}"
        )
    folder = _folder(settings, model)
    card = copy.deepcopy(read_bundle_head(folder, model.bundle_sha256).card)
    card["certificate"] = calibration.certificate()
    if isinstance(card.get("options"), dict):  # a later fit with its options asks for the rate of today
        card["options"]["false_alarms"] = calibration.false_alarms
    card["threshold_of"] = {
        "version": model.version, "bundle_sha256": model.bundle_sha256, "threshold": model.threshold,
        "false_alarms": model.false_alarms, "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    warnings = card.get("warnings")
    card["warnings"] = [
        *(warnings if isinstance(warnings, list) else []),
        f"This is the network of version {model.version} with another threshold, for a false-alarm rate of "
        f"{calibration.false_alarms:g} instead of {model.false_alarms:g}: what it sees of synthetic and known defects "
        "was measured with the old one.",
    ]
    uri = f"{model.name}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"
    with new_bundle(settings.model_store / uri, settings.home) as new:
        sha256 = rethreshold(
            folder, model.bundle_sha256, new, calibration=calibration, card=card,
            trusted=load_trusted_keys(settings.trusted_keys), sign=sign,
        )  # fmt: skip
    return models.register_model(
        engine, name=model.name, bundle_uri=uri, bundle_sha256=sha256, architecture=model.architecture,
        threshold=calibration.threshold, false_alarms=calibration.false_alarms, card=card,
        activate=model.state != ModelState.CANDIDATE,
    )  # fmt: skip


def _folder(settings: Settings, model: ModelRow) -> Path:
    from ganomaly.bundle_store import bundle_folder
    from ganomaly.signing import load_trusted_keys

    # An absolute one stays itself.
    place, trusted = settings.model_store / model.bundle_uri, load_trusted_keys(settings.trusted_keys)
    return bundle_folder(place, model.bundle_sha256, settings.home, trusted=trusted)
