"""Where a model looks: what the user means, what is cut out, and that nothing else can move a pixel of it."""

import json

import numpy as np
import pytest
from PIL import Image

from oddlot.errors import BundleError, TrainingError, UnreadablePicture
from pictures.drawing import draw_part
from pictures.heatmap import covered, place_box
from pictures.preprocessing import OUTSIDE, Preprocessing, look_at
from pictures.reading import FILTER, read_picture
from pictures.region import (
    Region,
    check_wish,
    pack_mask,
    parse_rectangle,
    read_mask,
    rectangle_in,
    reduce_mask,
    unpack_mask,
)

PART = draw_part(np.random.default_rng(1))  # 160 x 160
LIMITS = {"max_pixels": 10**8, "max_file_bytes": 10**8}


def read(path, model):
    return read_picture(str(path), model, **LIMITS).pixels


def write(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def with_mask(mask: np.ndarray, region: Region, size: int, channels: int = 3) -> Preprocessing:
    packed = pack_mask(reduce_mask(mask, size, size, FILTER))
    return Preprocessing(size, channels, region=Region(**{**region.__dict__, "mask": packed}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100,50,400,300", ((100, 50, 400, 300), False)),
        (" 0, 0, 8, 9 ", ((0, 0, 8, 9), False)),
        ("10%,20%,50%,40%", ((0.1, 0.2, 0.5, 0.4), True)),
        ("0.1,0.2,.5,0.4", ((0.1, 0.2, 0.5, 0.4), True)),
        ("0,0,0.5,1", ((0, 0, 0.5, 1), True)),
        ("0%,12.5%,100%,50%", ((0, 0.125, 1, 0.5), True)),
        ("1,2,3", None), ("mask.png", None), ("-1,0,5,5", None), ("a,b,c,d", None), ("1,2,3,4,5", None),
    ],
)  # fmt: skip
def test_pixels_and_shares_are_told_apart(text, expected):
    parsed = parse_rectangle(text)
    if expected is None:
        assert parsed is None
    else:
        assert parsed[0] == pytest.approx(expected[0])
        assert parsed[1] is expected[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10%,20,50%,40%", "mixes percent"), ("0.5,0.5,0.6,0.1", "reaches beyond"),
        ("60%,0%,50%,10%", "reaches beyond"),
        ("10.5,20,50,40", "reaches beyond"), ("5,5,0,9", "is empty"), ("100,50,400,300", "which are 320x240"),
        ("0,0,321,10", "which are 320x240"), ("0,0,1,1", "at least 8 a side"),
        ("0.0,0.0,0.01,0.5", "at least 8 a side"),
    ],
)  # fmt: skip
def test_a_rectangle_that_cannot_be_meant_is_refused(text, words):
    with pytest.raises(TrainingError, match=words):
        rectangle_in(text, (320, 240))


def test_what_is_neither_numbers_nor_a_file_is_refused(tmp_path):
    check_wish("1,2,3,4")
    check_wish(str(write(tmp_path / "mask.png", PART)))
    with pytest.raises(TrainingError, match="neither X,Y,WIDTH,HEIGHT nor a file"):
        check_wish(str(tmp_path / "gone.png"))


def test_a_rectangle_shows_its_part_at_a_higher_resolution(tmp_path):
    region = rectangle_in("40,60,64,32", (160, 160))
    array = read(write(tmp_path / "a.png", PART), Preprocessing(32, 3, region=region))
    assert np.array_equal(array, np.asarray(Image.fromarray(PART[60:92, 40:104]).resize((32, 32), FILTER)))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_change_outside_of_a_rectangle_changes_nothing_and_one_inside_does(tmp_path, depth):
    model = Preprocessing(32, 3, depth, region=rectangle_in("25%,25%,50%,50%", (160, 160)))
    other = 255 - PART
    other[40:120, 40:120] = PART[40:120, 40:120]
    before = read(write(tmp_path / "a.png", PART), model)
    assert np.array_equal(read(write(tmp_path / "b.png", other), model), before)
    other[40, 119] = 0
    assert not np.array_equal(read(write(tmp_path / "c.png", other), model), before)


def test_shares_fit_pictures_of_any_size(tmp_path):
    model = Preprocessing(16, 3, region=rectangle_in("50%,0%,50%,100%", (160, 160)))
    for height, width in ((160, 160), (90, 300), (3, 2), (1, 1)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, width // 2 :] = 200
        assert (read(write(tmp_path / "a.png", pixels), model) == 200).all()


def test_a_picture_of_another_size_is_unreadable_with_both_sizes_and_its_hash(tmp_path):
    model = Preprocessing(32, 3, region=rectangle_in("0,0,80,80", (160, 160)))
    with pytest.raises(UnreadablePicture, match="80x60, but the model's region is defined on 160x160") as refused:
        read(write(tmp_path / "a.png", PART[:60, :80]), model)
    assert len(refused.value.sha256) == 64


def test_a_picture_that_is_stored_lying_is_measured_as_it_stands(tmp_path):
    """EXIF orientation 6: the camera was held upright."""
    upright = PART[:, :100]
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = write(tmp_path / "a.png", np.ascontiguousarray(np.rot90(upright)), exif=exif)
    model = Preprocessing(32, 3, region=rectangle_in("10,20,50,60", (100, 160)))
    assert np.array_equal(read(lying, model), read(write(tmp_path / "b.png", upright), model))
    with pytest.raises(UnreadablePicture, match="160x100, but"):
        read(write(tmp_path / "c.png", np.ascontiguousarray(np.rot90(upright))), model)


def test_a_small_region_of_a_large_jpeg_is_not_decoded_too_small(tmp_path):
    picture = np.asarray(Image.fromarray(PART).resize((2400, 2400), Image.Resampling.BICUBIC))
    model = Preprocessing(32, 3, region=rectangle_in("600,600,150,150", (2400, 2400)))
    array = read(write(tmp_path / "a.jpg", picture, quality=95), model)
    exact = np.asarray(Image.fromarray(picture[600:750, 600:750]).resize((32, 32), FILTER))
    assert np.abs(array.astype(int) - exact).max() <= 6
    half = Preprocessing(32, 3, region=rectangle_in("1200,0,1200,2400", (2400, 2400)))
    reduced = read(tmp_path / "a.jpg", half).astype(int)
    exact = np.asarray(Image.fromarray(picture[:, 1200:]).resize((32, 32), FILTER))
    assert np.abs(reduced - exact).mean() < 2


def ring(side: int = 160) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(x - side / 2, y - side / 2)
    return (distance < side * 0.35) & (distance > side * 0.15)


def test_outside_of_a_mask_nothing_moves_a_pixel_that_counts(tmp_path):
    write(tmp_path / "mask.png", np.where(ring(), 255, 0).astype(np.uint8))
    region, mask = read_mask(str(tmp_path / "mask.png"), (160, 160))
    assert (region.left, region.top, region.width, region.height) == (25, 25, 111, 111)
    assert np.array_equal(mask, ring()[25:136, 25:136])
    model = with_mask(mask, region, 48)
    before = read(write(tmp_path / "a.png", PART), model)
    other = np.where(ring()[:, :, np.newaxis], PART, 255 - PART)
    assert np.array_equal(read(write(tmp_path / "b.png", other), model), before)
    assert (before[~model.mask] == OUTSIDE).all()
    assert 0.3 < model.mask.mean() < 0.6
    other = PART.copy()
    other[40:44, 78:82] = 0  # on the ring
    assert not np.array_equal(read(write(tmp_path / "c.png", other), model), before)


def test_a_mask_that_cannot_be_used_is_refused_with_the_reason(tmp_path):
    black = write(tmp_path / "black.png", np.zeros((160, 160), np.uint8))
    thin = np.zeros((160, 160), np.uint8)
    thin[80, 20:100] = 255
    (tmp_path / "text.png").write_text("no picture")
    for path, words in (
        (black, "black everywhere"), (write(tmp_path / "thin.png", thin), "at least 8 a side"),
        (write(tmp_path / "small.png", PART[:100]), "is 160x100, but the pictures are 160x160"),
        (tmp_path / "text.png", "not a picture of a known format"), (tmp_path / "gone.png", "not there"),
    ):  # fmt: skip
        with pytest.raises(TrainingError, match=words):
            read_mask(str(path), (160, 160))
    scattered = np.zeros((160, 160), bool)
    scattered[::3, ::3] = True
    with pytest.raises(TrainingError, match="nothing is left of the mask"):
        reduce_mask(scattered, 32, 32, FILTER)


@pytest.mark.parametrize("name", ["sixteen.png", "colour.png", "one-bit.png", "gray.tif"])
def test_a_mask_may_be_any_kind_of_picture(tmp_path, name):
    white = np.where(ring(), 255, 0).astype(np.uint8)
    picture = {
        "sixteen.png": Image.fromarray(white.astype(np.uint16) * 257),
        "colour.png": Image.fromarray(np.dstack([white] * 3)),
        "one-bit.png": Image.fromarray(white).convert("1"),
        "gray.tif": Image.fromarray(white),
    }[name]
    picture.save(tmp_path / name)
    assert np.array_equal(read_mask(str(tmp_path / name), (160, 160))[1], ring()[25:136, 25:136])


def test_a_preprocessing_with_canvas_and_mask_comes_back(tmp_path):
    model = Preprocessing(
        32, 1, canvas=(48, 64), region=Region(5, 6, 80, 90, (160, 120), pack_mask(np.eye(48, 64, dtype=bool)))
    )
    again = Preprocessing.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model
    assert np.array_equal(again.mask, np.eye(48, 64, dtype=bool))
    shares = Preprocessing(32, 1, region=rectangle_in("10%,20%,90%,80%", (160, 160)))
    assert Preprocessing.from_dict(json.loads(json.dumps(shares.to_dict()))) == shares
    assert Preprocessing.from_dict(json.loads(json.dumps(Preprocessing(32, 1).to_dict()))) == Preprocessing(32, 1)


GOOD = Region(5, 6, 80, 90, (160, 120), pack_mask(np.ones((32, 32), bool))).to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"left": -1}, {"left": 81}, {"top": 1.5}, {"width": 0}, {"height": float("nan")}, {"width": "80"},
        {"left": True}, {"picture": [160]}, {"picture": [160, 0]}, {"picture": "160x120"}, {"picture": None},
        {"mask": 7}, {"mask": "no base64!"}, {"mask": "AAAA"}, {"mask": pack_mask(np.ones((32, 33), bool))},
        {"mask": pack_mask(np.ones((1000, 1000), bool))}, {"mask": pack_mask(np.zeros((32, 32), bool))}, {"extra": 1},
    ],
)  # fmt: skip
def test_a_region_that_could_not_have_been_fitted_is_refused(change):
    values = Preprocessing(32, 1).to_dict()
    assert Preprocessing.from_dict({**values, "region": GOOD}).region.width == 80
    with pytest.raises(BundleError):
        Preprocessing.from_dict({**values, "region": {**GOOD, **change}})


@pytest.mark.parametrize("canvas", [[48], [16, 64], [48, 5000], "48x64", [48.0, 64], [True, 64]])
def test_a_canvas_that_could_not_have_been_chosen_is_refused(canvas):
    with pytest.raises(BundleError):
        Preprocessing.from_dict({**Preprocessing(32, 1).to_dict(), "canvas": canvas})


def test_a_ragged_mask_is_refused_before_anything_is_learnt():
    noise = np.random.default_rng(0).random((2400, 2400)) < 0.5
    with pytest.raises(TrainingError, match="too ragged"):
        pack_mask(noise)
    assert np.array_equal(unpack_mask(pack_mask(ring(2400)), 2400, 2400), ring(2400))


def test_a_place_of_the_map_is_found_in_the_picture():
    part, shares = Region(40, 60, 64, 32, (160, 160)), rectangle_in("50%,0%,50%,100%", (160, 160))
    assert place_box(0, 0, (1, 2), 160, 120).center == (40, 60)
    assert (covered(160, 160, part).left, covered(160, 160, part).top) == (40, 60)
    assert place_box(0, 0, (2, 1), 160, 160, part).center == (72, 68)
    assert (covered(300, 90, shares).right, covered(300, 90, shares).bottom) == (300, 90)


def test_colour_and_window_are_chosen_inside_of_the_region(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = (200, 10, 10)
    path = str(write(tmp_path / "a.png", pixels))
    assert look_at([path], **LIMITS).channels == 3
    sample = look_at([path], Region(0, 0, 20, 40, (40, 40)), **LIMITS)
    assert (sample.channels, sample.sizes) == (1, [(40, 40)])


def test_large_pictures_wait_in_smaller_numbers():
    assert Preprocessing(512, 3).at_once(32) == 32
    assert Preprocessing(512, 3, canvas=(1856, 1856)).at_once(32) == 4
    assert Preprocessing(512, 3, canvas=(4096, 4096)).at_once(32) == 1
