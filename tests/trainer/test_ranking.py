"""Ranking: the area under the curve, and when a lead counts."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trainer.ranking import auroc, lead


def test_the_area_is_that_of_the_reference_ties_included():
    rng = np.random.default_rng(0)
    good, odd = rng.integers(0, 6, 40).astype(float), rng.integers(2, 8, 30).astype(float)
    labels = np.repeat([0, 1], [40, 30])
    assert auroc(good, odd) == pytest.approx(roc_auc_score(labels, np.concatenate([good, odd])))


@pytest.fixture
def made_of() -> np.ndarray:
    return np.tile(np.arange(30), 8)


def test_a_score_that_separates_leads_chance_and_a_coin_clearly(made_of):
    rng = np.random.default_rng(1)
    model = rng.normal(0, 1, 30), rng.normal(3, 1, 240)
    coin = rng.normal(0, 1, 30), rng.normal(0, 1, 240)
    assert lead(model, None, made_of, 0).clear
    assert lead(model, coin, made_of, 0).clear
    assert not lead(coin, model, made_of, 0).clear


def test_a_score_does_not_lead_itself(made_of):
    rng = np.random.default_rng(1)
    model = rng.normal(0, 1, 30), rng.normal(3, 1, 240)
    assert lead(model, model, made_of, 0).measured == 0
    assert not lead(model, model, made_of, 0).clear


def test_coins_rarely_pass_for_better_than_chance():
    """Defects look like the pictures that they are pasted into: 12 pictures, 24 defects of each, scored alike."""
    passed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        good = rng.normal(0, 1, 12)
        made_of = np.tile(np.arange(12), 24)
        odd = rng.normal(0, 1, 12)[made_of] + rng.normal(0, 0.1, len(made_of))
        passed += lead((good, odd), None, made_of, seed).clear
    assert passed <= 15


def test_the_same_seed_gives_the_same_bound(made_of):
    rng = np.random.default_rng(1)
    model = rng.normal(0, 1, 30), rng.normal(1, 1, 240)
    assert lead(model, None, made_of, 4) == lead(model, None, made_of, 4)


def test_one_held_out_picture_says_nothing_of_luck():
    best = np.zeros(1), np.ones(24)
    found = lead(best, None, np.zeros(24, int), 0)
    assert found.measured == 0.5
    assert not found.clear
