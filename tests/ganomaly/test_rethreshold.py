"""A bundle with another threshold: the same network, golden pictures and sheet, sealed anew."""

import pytest

from ganomaly.bundle import open_bundle, read_sheet
from ganomaly.calibration import Calibration
from ganomaly.manifest import MANIFEST
from ganomaly.rethreshold import SCORING_FILES, rethreshold, scoring_hashes
from oddlot.errors import BundleError

OTHER_CARD = {"name": "flange", "threshold_of": {"version": 1}}


@pytest.fixture
def other(calibration) -> Calibration:
    return Calibration.fit(calibration.scores, 0.5)


def test_it_opens_scores_alike_and_flags_by_the_new_threshold(written, other, calibration, pictures, tmp_path) -> None:
    sha256 = rethreshold(*written, tmp_path / "new", calibration=other, card=OTHER_CARD)
    old, new = open_bundle(*written), open_bundle(tmp_path / "new", sha256)
    before, after = old.detector.score(pictures).raw, new.detector.score(pictures).raw
    assert before.tobytes() == after.tobytes()
    assert (new.card, new.preprocessing) == (OTHER_CARD, old.preprocessing)
    assert new.calibration == other
    assert calibration.flagged(after).sum() < other.flagged(after).sum()
    assert (new.calibration.p_values(after) == old.calibration.p_values(after)).all()
    assert read_sheet(tmp_path / "new", sha256) == read_sheet(*written)
    assert scoring_hashes(tmp_path / "new", sha256) == scoring_hashes(*written)
    assert sha256 != written[1]


@pytest.mark.parametrize("name", [*SCORING_FILES, "golden.npz", MANIFEST])
def test_a_damaged_bundle_is_not_sealed_anew(bundle, written, other, tmp_path, name) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-2] + b"x" + data[-1:])
    with pytest.raises(BundleError, match=name):
        rethreshold(bundle, written[1], tmp_path / "new", calibration=other, card={})
    assert not (tmp_path / "new").exists()


def test_it_is_written_over_nothing(written, other, tmp_path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(BundleError, match="already exists"):
        rethreshold(*written, tmp_path / "new", calibration=other, card={})
