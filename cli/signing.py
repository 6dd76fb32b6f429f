"""`oddlot models keygen` and `sign`: who made a bundle, or vouches for it."""

from pathlib import Path
from typing import Annotated

import typer

from cli.actor import actor
from cli.models import Name, bundle_path
from cli.output import say
from cli.session import open_session
from oddlot.errors import OddlotError


def register(group: typer.Typer) -> None:
    group.command("keygen", epilog="Example: oddlot models keygen plant-7.key")(keygen)
    group.command("sign", epilog="Example: oddlot models sign flange 2")(sign)


def keygen(
    file: Annotated[Path, typer.Argument(help="File for the private key; the public one is written beside it.")],
) -> None:
    """Make a pair of keys: one signs bundles, the other tells who signed them."""
    from ganomaly.signing import make_keys

    public = make_keys(file)
    say(f"{file}: the private key. Where models are learnt: ODDLOT_SIGNING_KEY={file.absolute()}")
    say(f"{public}: the public key. Where they are used: ODDLOT_TRUSTED_KEYS names it, or a folder with several")


def sign(
    name: Name, version: Annotated[int | None, typer.Argument(min=1, help="Version; left out: the active one.")] = None
) -> None:
    """Sign a model that is there with the key of ODDLOT_SIGNING_KEY: you vouch for it."""
    from db import models as rows
    from db.audit_log import Act, record_done
    from ganomaly.bundle_store import put_signature
    from ganomaly.signing import load_signer, sign_folder

    session = open_session()
    key = load_signer(session.settings.signing_key)
    if key is None:
        raise OddlotError("ODDLOT_SIGNING_KEY names no key: make one with `oddlot models keygen FILE`")
    row = rows.get_model(session.engine, name, version)
    folder = bundle_path(session, row)
    sign_folder(folder, row.bundle_sha256, key)
    put_signature(session.settings.model_store / row.bundle_uri, folder)
    record_done(session.engine, actor(), Act.MODEL_SIGNED, f"{name} {row.version}", f"bundle {row.bundle_sha256}")
    say(f"{name} version {row.version} is signed")
