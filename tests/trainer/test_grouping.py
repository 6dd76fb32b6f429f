"""Groups of pictures: from folders and names, joined by near-duplicates; patterns that cannot be used."""

from pathlib import Path

import pytest

from oddlot.errors import TrainingError
from trainer.grouping import check_group, join_groups, name_groups

ROOT = Path("/pictures/good")


def names(group, *below):
    return name_groups([str(ROOT / path) for path in below], ROOT, group)


def test_a_folder_is_a_group():
    assert names("folder", "a/1.png", "a/2.png", "b/deep/1.png", "1.png") == ["a", "a", "b/deep", "."]


def test_the_first_bracket_is_the_group_or_all_that_matches():
    files = ("exp1_num_12.jpg", "exp2_num_12.jpg", "sub/exp1_num_7.jpg")
    assert names(r"num_(\d+)", *files) == ["12", "12", "7"]
    assert names(r"num_\d+", *files) == ["num_12", "num_12", "num_7"]
    assert names(r"(?:exp)(\d)_num_(\d+)", *files) == ["1", "2", "1"]
    assert names(r"^(\w+)/", "line1/a.png", "line2/a.png") == ["line1", "line2"]


@pytest.mark.parametrize("pattern", [r"num_(\d+)", r"num_1|part_(\d+)", r"num_(\d*)"])
def test_pictures_without_a_group_are_counted_and_the_first_is_named(pattern):
    with pytest.raises(TrainingError, match=r"no group in 2 of 3 paths .*\(first: sub/other\.png\)"):
        names(pattern, "num_5_part_3.png", "sub/other.png", "num_.png")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "not a regular expression"),
        ("a**", "not a regular expression"),
        ("x{1,99999999999}", "not a regular expression"),
        ("", "1 to 200 characters"),
        ("a" * 201, "1 to 200 characters"),
        ("(a+)+", "for ever"),
        ("(?:a*)*", "for ever"),
        ("(a|ab)*", "for ever"),
        (r"(\d+_){2,}", "for ever"),
        ("(a+){,}", "for ever"),
        ("((a+)b?){20}", "for ever"),
        ("(?:(a+))+", "for ever"),
        ("a*b*c*d*e*", "5 open-ended repeats"),
        ("(?x)(a+) +", "without comments"),
        ("(?x:(a+) +)", "without comments"),
        ("(a+)(?#c)+", "without comments"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_in_one_line(pattern, words):
    with pytest.raises(TrainingError, match=words) as refusal:
        check_group(pattern)
    assert str(refusal.value).startswith("--group")
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    "pattern",
    ["folder", r"num_(\d+)", "(ab)+c", r"[)(+]+x", r"\(a+\)+", r"(?P<part>p\d+)(_\d+)?", "[]]+", "[^]a(]+(b)", "a+?b*+",
     r"\(?x(a)", "(?i:a)+", "(?<=a)b+", "(a+){}", r"[\]+]+(a)"],
)  # fmt: skip
def test_usual_patterns_are_taken(pattern):
    check_group(pattern)


def test_pairs_join_what_names_keep_apart():
    groups = join_groups(["a", "b", "c", "b", "d"], [(2, 3)], 5)
    assert groups[1] == groups[2] == groups[3]
    assert len({groups[0], groups[1], groups[4]}) == 3


def test_pairs_alone_join_across_a_chain():
    groups = join_groups(None, [(4, 5), (0, 2), (2, 5)], 7)
    assert groups[0] == groups[2] == groups[4] == groups[5]
    assert len(set(groups)) == 4
