"""Addresses of an object store: text that is kept as it is, and refused where it holds what must not be kept."""

from pathlib import Path

import pytest

from oddlot.errors import OddlotError, SettingsError
from oddlot.places import ObjectPath, joined, place_of, seen_from
from oddlot.settings import load_settings

SECRET = "s3kr1t-Geheim"


def test_a_folder_stays_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place_of("lot 7") == tmp_path / "lot 7"
    assert place_of("s3:/no-address") == tmp_path / "s3:" / "no-address"


def test_an_address_is_never_normalised():
    place = place_of("s3://plant/a//b/../c//")
    assert (place.bucket, place.key, place.name, str(place)) == ("plant", "a//b/../c", "c", "s3://plant/a//b/../c")
    assert place / "../d" == ObjectPath("s3://plant/a//b/../c/../d")
    assert place / "/srv/models" == Path("/srv/models")
    assert place / "s3://other/x" == ObjectPath("s3://other/x")
    for name in ("d.png", "/d.png", "../d.png", "./d.png", "e//d.png"):
        assert seen_from(joined(str(place), name), str(place)) == name


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"s3://AKIA123:{SECRET}@plant/lot", "AWS_SECRET_ACCESS_KEY"),
        (f"s3://{SECRET}@plant/lot", "AWS_SECRET_ACCESS_KEY"),
        (f"s3://AKIA123:{SECRET}", "AWS_SECRET_ACCESS_KEY"),
        ("s3://", "not the name of a bucket"),
        ("s3:///lot", "not the name of a bucket"),
        ("s3://-x/lot", "not the name of a bucket"),
        ("s3://plant/\udcff", "UTF-8"),
        ("gs://plant/lot", "gs:// are not supported"),
        ("https://plant.example/lot", "https:// are not supported"),
        ("memory://lot", "memory:// are not supported"),
    ],
)
def test_other_addresses_are_refused_in_one_line_without_what_they_hold(address, reason):
    with pytest.raises(OddlotError, match=reason) as refused:
        place_of(address)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_stores_may_be_addresses_and_say_which_setting_is_wrong(tmp_path):
    home = {"ODDLOT_HOME": str(tmp_path)}
    assert load_settings(home | {"ODDLOT_MAP_STORE": "s3://plant/maps/"}).map_store == ObjectPath("s3://plant/maps")
    with pytest.raises(SettingsError, match=r"ODDLOT_THUMB_STORE: .*AWS_ACCESS_KEY_ID") as refused:
        load_settings(home | {"ODDLOT_THUMB_STORE": f"s3://me:{SECRET}@plant"})
    assert SECRET not in str(refused.value)
    with pytest.raises(SettingsError, match="ODDLOT_S3_ENDPOINT holds no keys") as refused:
        load_settings(home | {"ODDLOT_S3_ENDPOINT": f"https://me:{SECRET}@minio.plant:9000"})
    assert SECRET not in str(refused.value)
