"""Synthetic defects: what is told about them is what was done to the picture."""

import numpy as np
import pytest

from ganomaly.synthetic import CONTRASTS, KINDS, LEAST_DEVIATION, SIZES, diameter, paste
from pictures.drawing import draw_part


@pytest.fixture(scope="module", params=["colour", "gray", "float", "oblong"])
def part(request) -> np.ndarray:
    drawn = draw_part(np.random.default_rng(5), side=128)
    gray = drawn[:, :, 1:2]
    return {"colour": drawn, "gray": gray, "float": gray.astype(np.float32) + 0.25, "oblong": drawn[20:90]}[
        request.param
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_exactly_what_was_changed_and_the_given_picture_is_left_alone(part, kind):
    before = part.copy()
    for size in SIZES:
        pasted, mask = paste(part, kind, size, CONTRASTS["clear"], np.random.default_rng(1))
        assert (pasted.shape, pasted.dtype, mask.shape, mask.dtype) == (part.shape, part.dtype, part.shape[:2], bool)
        np.testing.assert_array_equal(mask, (pasted != before).any(axis=2))
        assert mask.any()
        assert pasted.min() >= 0
        assert pasted.max() <= 255
    np.testing.assert_array_equal(part, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_is_as_large_as_was_asked_for(part, kind):
    for size in SIZES:
        extents = []
        for seed in range(8):
            _, mask = paste(part, kind, size, CONTRASTS["strong"], np.random.default_rng(seed))
            extents.append(max(np.ptp(np.nonzero(mask)[axis]) + 1 for axis in (0, 1)))
        wide = diameter(size, part.shape)
        assert 0.5 * wide - 1 <= np.median(extents) <= 1.4 * wide + 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_defect_and_another_seed_another(part, kind):
    first, again, other = (paste(part, kind, 0.12, 0.6, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stronger_contrast_changes_more(part, kind):
    def change(contrast: float) -> float:
        pairs = (paste(part, kind, 0.25, contrast, np.random.default_rng(seed)) for seed in range(12))
        return float(np.mean([np.abs(pasted.astype(float) - part).sum() for pasted, _ in pairs]))

    faint, clear, strong = (change(contrast) for contrast in CONTRASTS.values())
    assert faint < clear < strong


def test_defects_are_put_on_the_part_rather_than_on_the_empty_background():
    small_part = np.full((128, 128, 1), 30, np.uint8)
    small_part[48:80, 48:80] = 180
    on_it = 0
    for seed in range(100):
        _, mask = paste(small_part, "spot", 0.06, 0.6, np.random.default_rng(seed))
        rows, columns = np.nonzero(mask)
        on_it += 44 <= rows.mean() <= 84 and 44 <= columns.mean() <= 84
    assert on_it > 50  # a tenth of the area


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_flat_picture_a_mark_is_visible_and_a_blur_says_that_it_is_not(kind):
    flat = np.full((64, 64, 1), 128, np.uint8)
    pasted, mask = paste(flat, kind, 0.12, 1.0, np.random.default_rng(0))
    if kind in ("blur", "swap"):
        assert not mask.any()
        np.testing.assert_array_equal(pasted, flat)
    else:
        assert np.abs(pasted.astype(int) - 128).max() >= 0.9 * LEAST_DEVIATION


@pytest.mark.parametrize("side", [32, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_small_and_large_pictures_get_defects(kind, side):
    picture = draw_part(np.random.default_rng(5), side=side)
    for size in (SIZES[0], SIZES[-1]):
        _, mask = paste(picture, kind, size, CONTRASTS["strong"], np.random.default_rng(2))
        assert mask.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "dent"}, "'dent' is not a kind"),
        ({"size": 0.0}, "size 0.0"),
        ({"size": 0.7}, "size 0.7"),
        ({"contrast": -1.0}, "contrast -1.0"),
        ({"picture": np.zeros((64, 64), np.uint8)}, r"\(64, 64\)"),
        ({"picture": np.zeros((8, 64, 1), np.uint8)}, r"\(8, 64, 1\)"),
        ({"picture": np.zeros((64, 64, 1))}, "float64"),
    ],
)
def test_what_cannot_be_pasted_is_refused(change, words):
    wish = {"picture": np.zeros((64, 64, 1), np.uint8), "kind": "spot", "size": 0.1, "contrast": 1.0} | change
    with pytest.raises(ValueError, match=words):
        paste(**wish, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """A mask that leaves out the middle of a picture of 128 x 128, and most of its right side."""
    mask = np.ones((128, 128), bool)
    mask[30:98, 30:98] = mask[:, 110:] = False
    return mask


@pytest.mark.parametrize("kind", KINDS)
def test_behind_a_mask_nothing_changes_and_at_least_half_of_a_defect_is_before_it(frame, kind):
    part = draw_part(np.random.default_rng(5), side=128)
    part[~frame] = 128
    for size in SIZES:
        for seed in range(8):
            rng = np.random.default_rng(seed)
            pasted, mask = paste(part, kind, size, CONTRASTS["strong"], rng, frame)
            np.testing.assert_array_equal(mask, (pasted != part).any(axis=2))
            assert mask.any()
            assert not (mask & ~frame).any()


def test_a_defect_that_does_not_fit_into_a_mask_is_not_made():
    part = draw_part(np.random.default_rng(5), side=128)
    narrow = np.zeros((128, 128), bool)
    narrow[60:64] = True
    pasted, mask = paste(part, "spot", 0.25, CONTRASTS["strong"], np.random.default_rng(0), narrow)
    assert not mask.any()
    np.testing.assert_array_equal(pasted, part)
    assert paste(part, "spot", 0.03, CONTRASTS["strong"], np.random.default_rng(0), narrow)[1].any()


def test_contrast_is_that_of_what_is_inside_of_the_mask():
    """Bright and nearly even inside, middle gray outside: the step between them is no structure of the part."""
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    part = np.random.default_rng(0).normal(200, 12, (64, 64, 1)).clip(0, 255).astype(np.uint8)
    part[~mask] = 128
    changes = []
    for seed in range(8):
        pasted, _ = paste(part, "spot", 0.12, 1.0, np.random.default_rng(seed), mask)
        changes.append(np.abs(pasted.astype(int) - part).max())
    assert 10 <= np.median(changes) <= 15
