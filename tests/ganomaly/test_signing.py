"""Signed bundles: whose are taken, what is refused before it is understood, and that nothing else changes."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from ganomaly.bundle import open_bundle, read_bundle_head
from ganomaly.calibration import Calibration
from ganomaly.manifest import MANIFEST, SIGNATURE
from ganomaly.rethreshold import rethreshold
from ganomaly.signing import load_signer, load_trusted_keys, load_trusted_signer, make_keys, sign_folder
from ganomaly.transport import export_bundle, import_bundle
from oddlot.errors import BundleError, SettingsError


@pytest.fixture
def keys(tmp_path) -> Path:
    """A folder with two pairs of keys, `ours` and `theirs`."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in ("ours", "theirs"):
        make_keys(folder / name)
    return folder


@pytest.fixture
def ours(keys):
    return load_trusted_keys(f"{keys / 'ours.pub'}")


@pytest.fixture
def signed(bundle, written, keys) -> Path:
    sign_folder(bundle, written[1], load_signer(f"{keys / 'ours'}"))
    return bundle


def test_a_private_key_is_its_owners_and_never_replaced(keys) -> None:
    assert (keys / "ours").stat().st_mode & 0o777 == 0o600
    before = (keys / "ours").read_bytes()
    with pytest.raises(SettingsError, match="never replaced"):
        make_keys(keys / "ours")
    (keys / "theirs").unlink()
    with pytest.raises(SettingsError, match="never replaced"):
        make_keys(keys / "theirs")
    assert (keys / "ours").read_bytes() == before


def test_a_signed_bundle_is_the_same_bundle(signed, written, ours) -> None:
    assert open_bundle(signed, written[1], trusted=ours).sha256 == written[1]
    assert open_bundle(signed, written[1]).sha256 == written[1]
    assert len((signed / SIGNATURE).read_bytes()) == 64


def test_openssl_says_the_same(signed, keys) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys / "ours.pub", "-in",
               signed / MANIFEST, "-sigfile", signed / SIGNATURE]  # fmt: skip
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    (signed / MANIFEST).write_bytes((signed / MANIFEST).read_bytes() + b" ")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_an_unsigned_one_is_refused_where_keys_are_named(bundle, ours, keys, tmp_path, calibration, written) -> None:
    with pytest.raises(BundleError, match="is not signed"):
        open_bundle(bundle, trusted=ours)
    with pytest.raises(BundleError, match="is not signed"):
        read_bundle_head(bundle, trusted=ours)
    other = Calibration.fit(calibration.scores, 0.5)
    sign = load_signer(f"{keys / 'ours'}")
    with pytest.raises(BundleError, match="is not signed"):  # it must not get a signature by the way
        rethreshold(bundle, written[1], tmp_path / "new", calibration=other, card={}, trusted=ours, sign=sign)
    with pytest.raises(BundleError, match="is not signed"):
        export_bundle(bundle, tmp_path / "file", trusted=ours, sign=sign)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("signature", [bytes(64), b"", b"x" * 63], ids=["zeros", "empty", "short"])
def test_a_signature_of_nobody_is_refused(bundle, ours, signature) -> None:
    (bundle / SIGNATURE).write_bytes(signature)
    with pytest.raises(BundleError, match="none of the keys"):
        open_bundle(bundle, trusted=ours)


def test_a_signature_that_is_none_is_refused_by_everybody(bundle, ours) -> None:
    (bundle / SIGNATURE).write_bytes(bytes(10**6))
    for trusted in (ours, None):
        with pytest.raises(BundleError, match=r"manifest\.sig is damaged"):
            open_bundle(bundle, trusted=trusted)
    (bundle / SIGNATURE).unlink()
    (bundle / SIGNATURE).symlink_to(bundle / MANIFEST)
    with pytest.raises(BundleError, match="it is a link"):
        open_bundle(bundle, trusted=ours)


def test_the_key_of_somebody_else_is_not_enough_unless_he_is_trusted_too(bundle, written, keys, ours) -> None:
    sign_folder(bundle, written[1], load_signer(f"{keys / 'theirs'}"))
    with pytest.raises(BundleError, match="none of the keys"):
        open_bundle(bundle, trusted=ours)
    both = load_trusted_keys(f"{keys}")
    assert open_bundle(bundle, written[1], trusted=both)
    in_one_file = keys / "all.pem"
    in_one_file.write_bytes((keys / "ours.pub").read_bytes() + (keys / "theirs.pub").read_bytes())
    assert open_bundle(bundle, written[1], trusted=load_trusted_keys(f"{in_one_file}"))


def test_nothing_that_was_changed_is_even_understood(signed, ours) -> None:
    (signed / MANIFEST).write_bytes(b"{ this is no JSON")
    with pytest.raises(BundleError, match="none of the keys"):
        open_bundle(signed, trusted=ours)


@pytest.mark.parametrize("name", ["weights.npz", "card.json", "golden.npz"])
def test_a_file_that_was_exchanged_is_refused_by_its_hash(signed, ours, name) -> None:
    (signed / name).write_bytes((signed / name).read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        open_bundle(signed, trusted=ours)


def test_the_signature_travels_and_an_export_may_sign(signed, bundle, written, keys, ours, tmp_path) -> None:
    export_bundle(signed, tmp_path / "carried")
    assert import_bundle(tmp_path / "carried", tmp_path / "new", trusted=ours) == written[1]
    assert (tmp_path / "new" / SIGNATURE).read_bytes() == (signed / SIGNATURE).read_bytes()
    export_bundle(signed, tmp_path / "theirs", trusted=ours, sign=load_signer(f"{keys / 'theirs'}"))
    with pytest.raises(BundleError, match="none of the keys"):
        import_bundle(tmp_path / "theirs", tmp_path / "other", trusted=ours)
    assert not (tmp_path / "other").exists()
    with zipfile.ZipFile(tmp_path / "theirs") as archive:
        assert archive.namelist().count(SIGNATURE) == 1


def test_a_damaged_bundle_is_not_signed(bundle, written, keys) -> None:
    (bundle / "weights.npz").write_bytes(b"other")
    with pytest.raises(BundleError, match="damaged"):
        sign_folder(bundle, written[1], load_signer(f"{keys / 'ours'}"))
    with pytest.raises(BundleError, match="was registered"):
        sign_folder(bundle, "0" * 64, load_signer(f"{keys / 'ours'}"))
    assert not (bundle / SIGNATURE).exists()
    assert not list(bundle.parent.glob(".*.partial"))


def test_keys_that_cannot_be_used_let_nothing_in(keys, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rubbish.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nrubbish\n-----END PUBLIC KEY-----\n")
    for path in (tmp_path / "empty", tmp_path / "rubbish.pub", tmp_path / "nothing", keys / "ours"):
        with pytest.raises(SettingsError, match="ODDLOT_TRUSTED_KEYS"):
            load_trusted_keys(f"{path}")
    for path in (tmp_path / "nothing", keys / "ours.pub", tmp_path / "rubbish.pub", tmp_path):
        with pytest.raises(SettingsError, match="ODDLOT_SIGNING_KEY"):
            load_signer(f"{path}")
    assert load_trusted_keys("") is None
    assert load_signer("") is None


def test_nothing_is_made_for_use_that_would_be_refused(keys):
    ours, theirs, trusted = f"{keys / 'ours'}", f"{keys / 'theirs'}", f"{keys / 'ours.pub'}"
    with pytest.raises(SettingsError, match="ODDLOT_SIGNING_KEY is not: what is made here would be refused"):
        load_trusted_signer("", trusted)
    with pytest.raises(SettingsError, match="is none of ODDLOT_TRUSTED_KEYS"):
        load_trusted_signer(theirs, trusted)
    assert load_trusted_signer(ours, trusted) is not None
    assert load_trusted_signer(theirs, "") is not None
    assert load_trusted_signer("", "") is None
