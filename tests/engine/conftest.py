"""A container engine, and images for it: those that were fetched, or stand-ins that are made from Debian's packages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_engine import Engine

from scripts import offline_bundle


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine that runs here, or one that this run starts and removes."""
    if shutil.which("docker") and (running := Engine()).answers():
        yield running
        return
    if os.getuid() != 0 or not shutil.which("dockerd"):
        pytest.skip(
            "NOT TESTED, what only a container engine does: none runs, and only root may start one (make engine)"
        )
    with Engine.started(tmp_path_factory.mktemp("engine")) as one:
        yield one


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for a machine without a network: its wheels go into the image, too."""
    return offline_bundle.make(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def debian(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of Debian with its Python and nothing else."""
    return engine.debian(tmp_path_factory.mktemp("debian"))
