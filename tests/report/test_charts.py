"""Charts: valid SVG for a strict page, small for any night, and true to the numbers."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from report.axes import number_text, ticks
from report.charts import Series, TrendLine, TrendPoint, histogram, scatter, stylesheet, trend

SVG = "{http://www.w3.org/2000/svg}"


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def path_of(chart: str, name: str) -> str:
    return "".join(path.get("d", "") for path in parsed(chart).iter(f"{SVG}path") if path.get("class") == name)


def every_kind() -> list[str]:
    hostile = '<script>alert(1)</script>"\x1b[31m\udce9&'
    return [
        histogram([Series(hostile, [0.2, 0.8], "model"), Series("b", [1.0, 0.0])], edges=[0, 1, 2], threshold=1.5,
                  title=hostile, x_label=hostile, y_label=hostile, description=hostile),
        scatter([0.1, 0.9, 0.4], title=hostile, x_label=hostile),
        trend([TrendLine(hostile, [TrendPoint(hostile, 1.0, hostile), TrendPoint("b", 2.0)])], title=hostile),
        histogram([], edges=[], title="nothing"), scatter([], title="nothing"), trend([], title="nothing"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(6))
def test_a_chart_is_xml_that_a_strict_page_may_show_and_a_screen_reader_may_tell(number) -> None:
    chart = every_kind()[number]
    root = parsed(chart)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    assert not re.search(r"<script|<style|\bstyle=|\bon\w+=|href", chart)
    assert "\x1b" not in chart
    chart.encode("utf-8")


def test_a_rare_score_is_still_to_be_seen_in_a_histogram() -> None:
    chart = histogram([Series("tonight", [0.99999, 0.00001])], edges=[0.0, 0.5, 1.0], title="t")
    bars = re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", path_of(chart, "chart-tonight"))
    assert len(bars) == 2
    assert all(float(ground) - float(top) >= 1 for ground, top in bars)


def test_bars_are_as_high_as_their_numbers_and_empty_bins_have_none() -> None:
    chart = histogram([Series("tonight", [0.5, 0.0, 0.25])], edges=[0.0, 1.0, 2.0, 3.0], title="t")
    bars = re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", path_of(chart, "chart-tonight"))
    heights = [float(ground) - float(top) for ground, top in bars]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(2 * heights[1], rel=0.02)


@pytest.mark.parametrize(
    ("heights", "edges"),
    [([math.nan, math.inf, -1.0], [0, 1, 2, 3]), ([1, 2, 3, 4], [0, 1]), ([1], [0, 1, 2]), ([1], [1, 1]),
     ([1], [0, math.inf]), ([1, 1], [0, 1, math.nan])],
)  # fmt: skip
def test_numbers_that_do_not_fit_each_other_still_give_a_chart(heights, edges) -> None:
    parsed(histogram([Series("tonight", heights), Series("model", heights, "model")], edges=edges, title="t"))


def test_of_many_scores_every_flagged_one_is_under_a_point_and_the_chart_stays_small() -> None:
    generator = np.random.default_rng(0)
    scores = np.clip(generator.normal(0.3, 0.08, 100_000), 0.01, 0.49)
    odd = generator.choice(len(scores), 300, replace=False)
    scores[odd] = generator.uniform(0.5001, 0.99, 300)
    chart = scatter(scores, title="t")
    assert len(chart) < 300_000
    points = re.findall(r"M([\d.]+) ([\d.]+)h0", path_of(chart, "chart-flagged"))
    assert 250 <= len(points) <= 300
    threshold = next(line for line in parsed(chart).iter(f"{SVG}line") if line.get("class") == "chart-threshold")
    assert all(float(up) <= float(threshold.get("y1", 0)) + 1 for _, up in points)
    assert "300 of 100,000 scores lie above the threshold" in chart


def test_a_night_of_flags_alone_stays_small_too() -> None:
    assert len(scatter(np.random.default_rng(0).uniform(0.5001, 1, 100_000), title="t")) < 1_500_000


def test_marked_nights_are_drawn_in_another_shape_and_missing_ones_not_at_all() -> None:
    points = [TrendPoint("2026-11-01", 1.0), TrendPoint("2026-11-02", 9.0, "held"), TrendPoint("2026-11-03", None)]
    root = parsed(trend([TrendLine("press-3", points)], title="t"))
    assert len([one for one in root.iter(f"{SVG}circle") if one.get("class") == "chart-point chart-line-1"]) == 1
    marked = [
        one for one in root.iter(f"{SVG}path") if one.get("class") == "chart-marked" and one.findtext(f"{SVG}title")
    ]
    assert [one.findtext(f"{SVG}title") for one in marked] == ["press-3, 2026-11-02 9 (held)"]


def test_the_same_numbers_give_the_same_chart() -> None:
    assert every_kind() == every_kind()


def test_the_stylesheet_knows_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in stylesheet()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 0.0003, [0, 0.0001, 0.0002, 0.0003]), (5, 5, []), (0, math.inf, [])],
)
def test_ticks_are_round_numbers(low, high, expected) -> None:
    assert ticks(low, high, 5 if high == 1 else 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12000, "12,000"), (0.30000000000000004, "0.3"), (2e-7, "2e-07"), (1e12, "1e+12")]
)
def test_numbers_are_short(value, text) -> None:
    assert number_text(value) == text
