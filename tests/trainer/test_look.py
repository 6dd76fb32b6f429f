"""What a fit chooses from the pictures, what it says about it, and the regions and tiles that it refuses."""

import numpy as np
import pytest
from PIL import Image

from oddlot.errors import TrainingError
from oddlot.settings import load_settings
from pictures.preprocessing import Preprocessing
from trainer.fit import FitOptions, check_options
from trainer.look import choose_look, parse_tiles


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home"), "ODDLOT_SETTLE_SECONDS": "0"})


@pytest.fixture
def look(tmp_path, settings):
    """Chooses for pictures of the given sizes (width, height); returns the look and what was said."""

    def choose(*sizes, **options):
        rng = np.random.default_rng(0)
        paths = []
        for number, (width, height) in enumerate(sizes):
            path = tmp_path / f"{number}.png"
            Image.fromarray(rng.integers(0, 255, (height, width), np.uint8)).save(path)
            paths.append(str(path))
        said = []
        wishes = FitOptions(name="flange", good_dir=str(tmp_path), **options)
        check_options(wishes)
        return choose_look(paths, wishes, settings, said.append), said

    return choose


@pytest.mark.parametrize(
    ("architecture", "picture", "size"),
    [
        ("features", (28, 28), 128), ("features", (160, 120), 160), ("features", (100, 161), 192),
        ("features", (256, 256), 256), ("features", (300, 300), 256), ("features", (4000, 3000), 256),
        ("paper", (28, 28), 32), ("paper", (33, 20), 64), ("paper", (400, 400), 64), ("article", (32, 32), 32),
    ],
)  # fmt: skip
def test_the_size_follows_the_pictures_and_is_said(look, architecture, picture, size):
    chosen, said = look(picture, architecture=architecture)
    assert chosen.config.size == chosen.preprocessing.size == size
    assert chosen.usual == picture
    assert f"pictures are {picture[0]}x{picture[1]}: size {size} is used" in said[0]


def test_a_size_that_was_asked_for_is_taken_without_a_word(look):
    chosen, said = look((300, 300), size=320)
    assert (chosen.config.size, said) == (320, [])


def test_pictures_that_lose_much_are_named_with_what_to_do(look):
    assert "--size 512 or --tiles auto would keep small defects" in look((1024, 700))[1][-1]
    assert ": more --tiles would keep small defects" in look((5000, 700), size=512, tiles="2")[1][-1]
    assert "4.0 times smaller" in look((1024, 700), size=256)[1][-1]
    assert len(look((300, 300))[1]) == 1
    assert len(look((1024, 700), tiles="auto")[1]) == 2


def test_the_size_is_that_of_the_region(look):
    chosen, said = look((400, 300), roi="50%,0%,40%,50%")
    assert chosen.config.size == 160
    assert said == [
        "looking only at 40% x 50% at 50%, 0%",
        "the region is 160x150: size 160 is used (--size chooses another)",
    ]


@pytest.mark.parametrize(
    ("picture", "options", "grid", "canvas"),
    [
        ((1024, 700), {}, (3, 4), (704, 928)),
        ((5000, 5000), {}, (4, 4), (928, 928)),
        ((600, 256), {"size": 128}, (2, 4), (240, 464)),
        ((200, 200), {"architecture": "paper"}, (4, 4), (208, 208)),
        ((250, 200), {}, (1, 1), (256, 256)),
    ],
)
def test_automatic_tiles_show_a_pixel_of_the_picture_as_about_one_of_a_tile(look, picture, options, grid, canvas):
    chosen, said = look(picture, tiles="auto", **options)
    assert (chosen.config.rows, chosen.config.columns) == grid
    assert chosen.preprocessing.shape[:2] == chosen.layout.canvas == canvas
    words = f"cut into {grid[0]}x{grid[1]} overlapping tiles" if grid != (1, 1) else "one tile shows them as they are"
    assert any(words in line for line in said)


def test_tiles_that_were_asked_for_have_no_more_pixels_than_the_picture(look):
    chosen, _ = look((300, 300), tiles="2")
    assert (chosen.config.rows, chosen.config.columns, chosen.config.size) == (2, 2, 160)
    chosen, _ = look((1000, 500), tiles="2x5")
    assert (chosen.config.rows, chosen.config.columns, chosen.config.size) == (2, 5, 256)


@pytest.mark.parametrize("text", ["0", "9", "2x9", "x", "2x", "-1", "1.5", "all", "", "2x2x2"])
def test_tiles_that_cannot_be_cut_are_refused(text):
    with pytest.raises(TrainingError, match=f"--tiles {text} cannot be used"):
        check_options(FitOptions(name="flange", good_dir="good", tiles=text))
    assert parse_tiles("3X2") == (3, 2)


def test_pixels_need_pictures_of_one_size_and_shares_do_not(look):
    sizes = ((100, 80), (100, 80), (80, 60))
    with pytest.raises(TrainingError, match="pictures of one size, but there are 100x80, 80x60: give the region in pe"):
        look(*sizes, roi="10,10,40,40")
    assert look(*sizes, roi="10%,10%,40%,40%")[0].preprocessing.region.picture is None
    assert look(*sizes[:2], roi="10,10,40,40")[0].preprocessing.region.picture == (100, 80)


def test_a_mask_is_kept_at_the_size_of_the_canvas(look, tmp_path):
    mask = np.zeros((200, 300), np.uint8)
    mask[20:180, 40:280] = 255
    mask[60:100, 100:200] = 0
    Image.fromarray(mask).save(tmp_path / "mask.bmp")
    chosen, _ = look((300, 200), roi=str(tmp_path / "mask.bmp"), tiles="1x2", size=128)
    assert chosen.preprocessing.shape == (128, 240, 1)
    assert chosen.preprocessing.mask.shape == (128, 240)
    assert Preprocessing.from_dict(chosen.preprocessing.to_dict()) == chosen.preprocessing
    assert not chosen.preprocessing.mask[32:64, 60:160].any()
    assert chosen.preprocessing.mask[:30].all()


def test_a_region_of_no_readable_picture_is_refused(tmp_path, settings):
    (tmp_path / "a.png").write_bytes(b"no picture")
    options = FitOptions(name="flange", good_dir=str(tmp_path), roi="0,0,9,9")
    with pytest.raises(TrainingError, match="none of the files is a readable picture"):
        choose_look([str(tmp_path / "a.png")], options, settings, print)
