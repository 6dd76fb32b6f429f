"""Signatures of bundles: Ed25519 over the bytes of the manifest, which has the hash of every other file.

The signature is 64 bytes beside the manifest and no part of it, so that the hash which names a bundle stays the same
when somebody signs it. `openssl pkeyutl -verify -rawin` checks it, too.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganomaly.bundle_folder import BundleFolder, refusing
from ganomaly.manifest import MANIFEST, SIGNATURE
from oddlot.errors import BundleError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Sign = Callable[[bytes], bytes]
"""Gives the signature of a manifest."""
_PUBLIC = b"-----BEGIN PUBLIC KEY-----"


class TrustedKeys:
    """Those whose bundles are taken."""

    def __init__(self, keys: "dict[str, Ed25519PublicKey]", where: str) -> None:
        self._keys, self._where = keys, where

    def __call__(self, manifest: bytes, signature: bytes | None) -> None:
        """Raises BundleError unless one of the keys signed the manifest."""
        if signature is None:
            raise BundleError(f"it is not signed, and ODDLOT_TRUSTED_KEYS asks for a signature: {self._advice}")
        if self.signer_of(manifest, signature) is None:
            raise BundleError(f"none of the keys in {self._where} (ODDLOT_TRUSTED_KEYS) signed it: {self._advice}")

    def signer_of(self, manifest: bytes, signature: bytes) -> str | None:
        """The file of the key that signed it."""
        from cryptography.exceptions import InvalidSignature

        for name, key in self._keys.items():
            try:
                key.verify(signature, manifest)
            except InvalidSignature:
                continue
            return name
        return None

    _advice = "sign it where it was made, with `oddlot models sign`"


def load_trusted_keys(path: str) -> TrustedKeys | None:
    """The public keys in a file, or in all `*.pub` of a folder; None for an empty path.

    Raises SettingsError where there is none, or one cannot be used: then nothing is taken.
    """
    if not path:
        return None
    place = Path(path).expanduser()
    found: dict[str, Ed25519PublicKey] = {}
    try:
        for file in sorted(place.glob("*.pub")) if place.is_dir() else [place]:
            found |= {f"{file}" + (f" #{n}" if n else ""): key for n, key in enumerate(_public_keys(file))}
    except OSError as error:
        raise SettingsError(
            f"ODDLOT_TRUSTED_KEYS: {error.filename or place} cannot be read: {error.strerror}"
        ) from error
    if not found:
        raise SettingsError(f"ODDLOT_TRUSTED_KEYS: {place} holds no public key (*.pub)")
    return TrustedKeys(found, str(place))


def load_signer(path: str) -> Sign | None:
    """What signs with the private key in a file; None for an empty path. Raises SettingsError."""
    if not path:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    file = Path(path).expanduser()
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(f"ODDLOT_SIGNING_KEY: {file} cannot be read: {error.strerror}") from error
    except (TypeError, ValueError, UnsupportedAlgorithm):  # never with the reason: it might show of the key
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"ODDLOT_SIGNING_KEY: {file} holds no private key that `oddlot models keygen` made")
    return key.sign


def load_trusted_signer(signing_key: str, trusted_keys: str) -> Sign | None:
    """What signs a model that is to be used at once; None where nobody asks for a signature and there is no key.

    Raises SettingsError as the two others do, and where what it signs would be refused: every job of it would fail.
    """
    sign, trusted = load_signer(signing_key), load_trusted_keys(trusted_keys)
    if trusted is None:
        return sign
    if sign is None:
        raise SettingsError(
            "ODDLOT_TRUSTED_KEYS is set and ODDLOT_SIGNING_KEY is not: what is made here would be refused; name the "
            "key that signs it"
        )
    if trusted.signer_of(b"on trial", sign(b"on trial")) is None:
        raise SettingsError(
            "the key of ODDLOT_SIGNING_KEY is none of ODDLOT_TRUSTED_KEYS: what it signs would be refused"
        )
    return sign


def make_keys(file: Path) -> Path:
    """A new private key in `file`, which only its owner may read, and the public one beside it, whose path is returned.

    Raises SettingsError where one of the two is there already or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = file.with_name(f"{file.name}.pub")
    private_text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public_text = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    try:
        if os.path.lexists(public):
            raise FileExistsError
        _write_new(file, private_text, 0o600)
        _write_new(public, public_text, 0o644)
    except FileExistsError:
        raise SettingsError(f"{file} or {public} is there already: a key is never replaced") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error
    return public


def sign_folder(folder: Path, sha256: str, sign: Sign) -> None:
    """Sign the bundle in a folder, every file of which is verified first; an earlier signature is replaced.

    Raises BundleError where it is damaged, has not the hash `sha256`, or cannot be written.
    """
    with refusing(folder):
        bundle = BundleFolder(folder, sha256)
        for name in bundle.names:
            bundle.read(name)
        # Written beside the folder: a worker that opens it meanwhile must not meet a file that does not belong in it.
        partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
        try:
            _write_new(partial, sign(bundle.read(MANIFEST)), 0o644)
            os.replace(partial, folder / SIGNATURE)
        except OSError as error:
            raise BundleError(f"its signature cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)


def _public_keys(file: Path) -> "list[Ed25519PublicKey]":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for text in file.read_bytes().split(_PUBLIC)[1:]:
        try:
            key = load_pem_public_key(_PUBLIC + text)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise SettingsError(f"ODDLOT_TRUSTED_KEYS: {file} holds no public key that `oddlot models keygen` made")
        found.append(key)
    return found


def _write_new(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
