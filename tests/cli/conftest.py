"""A fitted model and folders of pictures, made once; each test gets a home of its own with the model in it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from oddlot_program import Oddlot
from PIL import Image

from pictures.drawing import draw_set
from worker.broker import server_binary

FIT_OPTIONS = (
    "--architecture", "paper", "--size", "32", "--epochs", "3", "--false-alarms", "0.1", "--seed", "1", "--force"
)  # fmt: skip
"""A model that is made in seconds and sees next to nothing: what is tested with it is everything around it."""

COIN_OPTIONS = ("--architecture", "paper", "--size", "32", "--epochs", "1", "--seed", "1")
"""After one epoch the network of the paper is close to a coin on the drawn parts."""


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """60 good pictures to learn from, and a night of 24 with defects among them."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_set(folder, good_train=60, good_test=18, defects=6, seed=3)
    return folder


@pytest.fixture(scope="session")
def fitted_home(drawn, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("fitted") / "home"
    Oddlot(home).run("fit", "flange", drawn / "train" / "good", *FIT_OPTIONS)
    return home


@pytest.fixture
def oddlot(fitted_home, tmp_path) -> Oddlot:
    """A home with an active model `flange` and nothing else."""
    home = tmp_path / "home"
    shutil.copytree(fitted_home, home, ignore=shutil.ignore_patterns("broker", "logs", "fits"))
    return Oddlot(home)


@pytest.fixture(scope="session")
def candidate_home(drawn, tmp_path_factory) -> tuple[Path, str]:
    """A home with a candidate `coin` and nothing else, and what its fit wrote on standard error."""
    home = tmp_path_factory.mktemp("candidate") / "home"
    return home, Oddlot(home).run("fit", "coin", drawn / "train" / "good", *COIN_OPTIONS, status=3)


@pytest.fixture(scope="session")
def inspected_home(fitted_home, drawn, tmp_path_factory) -> Path:
    """A home in which the drawn night and a file that is no picture were inspected."""
    folder = tmp_path_factory.mktemp("inspected")
    shutil.copytree(fitted_home, folder / "home", ignore=shutil.ignore_patterns("broker", "logs", "fits"))
    shutil.copytree(drawn / "tonight", folder / "night")
    (folder / "night" / "notes.txt").write_text("not a picture")
    oddlot = Oddlot(folder / "home")
    oddlot.run("inspect", "flange", folder / "night")
    oddlot.await_end()
    return folder / "home"


@pytest.fixture
def inspected(inspected_home, tmp_path) -> Oddlot:
    """A home of its own with that night in it; its pictures are everybody's."""
    home = tmp_path / "home"
    shutil.copytree(inspected_home, home, ignore=shutil.ignore_patterns("broker", "logs"))
    return Oddlot(home)


@pytest.fixture
def empty_oddlot(tmp_path) -> Oddlot:
    return Oddlot(tmp_path / "home")


@pytest.fixture
def messy_folder(drawn, tmp_path) -> Path:
    """Pictures as factories have them: good ones of all kinds, and files that are none."""
    folder = tmp_path / "lot 7 Prüfung"
    (folder / "deep" / "er").mkdir(parents=True)
    originals = sorted((drawn / "tonight").iterdir())
    picture = Image.open(originals[0]).convert("RGB")
    shutil.copy(originals[0], folder / "plain.jpg")
    shutil.copy(originals[1], folder / "UPPER CASE.JPG")
    shutil.copy(originals[2], folder / "deep" / "er" / "Größe µ.jpeg")
    shutil.copy(originals[3], os.fsencode(folder) + b"/latin-\xe9.jpg")
    picture.save(folder / "colour.png")
    picture.convert("L").save(folder / "gray.bmp")
    picture.save(folder / "web.webp")
    picture.convert("P").save(folder / "palette.png")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(folder / "sixteen.png")
    picture.save(folder / "pages.tif", save_all=True, append_images=[picture.rotate(90)])
    (folder / "truncated.jpg").write_bytes(originals[0].read_bytes()[:2000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory) -> Iterator[str]:
    """The URL of a Redis-protocol server with a password, as many hosts share one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "geheim",
         "--dir", str(tmp_path_factory.mktemp("redis"))],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"redis://:geheim@127.0.0.1:{port}/0"
    client = redis.Redis.from_url(url)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert server.poll() is None
            assert time.monotonic() < deadline, "the server did not start"
    yield url
    server.terminate()
    server.wait()
