"""What is delivered, made once; the tests install it in roots of their own."""

from pathlib import Path

import clean_root
import pytest

from scripts import offline_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """The folder for a machine without a network, made as `make bundle-offline` makes it."""
    if reason := clean_root.missing():
        pytest.skip(f"NOT TESTED, whether an installation without a network works: {reason}")
    return offline_bundle.make(tmp_path_factory.mktemp("dist"))
