"""What labelling tools get: COCO by the rules of the format, lying where the heat is, and every item accounted for."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db import batches, jobs, listing, models, verdicts
from db.batches import Outcome
from db.items import get_item
from oddlot.errors import OddlotError
from oddlot.settings import load_settings
from oddlot.words import ItemState, Verdict
from pictures.heatmap import pack_heat
from pictures.preprocessing import Preprocessing
from report.coco import export_coco

HEAT = np.full((4, 5), 0.25)
HEAT[1, 3:] = 0.8, 0.6
HEAT[3, 0] = 0.7


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home")})


@pytest.fixture
def lot(tmp_path) -> list[Path]:
    folder = tmp_path / "lot"
    folder.mkdir()
    paths = [folder / name for name in ("plain.png", "turned.JPG", "good.bmp", "no_map.png", "gone.png", "new.png")]
    paths.append(folder / "latin-\udce9.weird ending")
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, path in enumerate(paths):
        kind = {".JPG": "JPEG", ".bmp": "BMP"}.get(path.suffix, "PNG")
        options = {"exif": exif} if kind == "JPEG" else {}
        Image.new("L", (100, 60), 20 * number).save(path, kind, **options)
    return paths


@pytest.fixture
def items(engine, settings, lot) -> list[int]:
    """Flagged items with those pictures, one of which goes away afterwards, and one changes."""
    model = models.register_model(
        engine, name="flange", bundle_uri="flange/1", bundle_sha256="0" * 64, architecture="paper", threshold=0.5,
        false_alarms=0.1, card={"preprocessing": Preprocessing(32, 1).to_dict()},
    )  # fmt: skip
    job_id, _ = jobs.create_job(
        engine, model_id=model.id, source=str(lot[0].parent), line=None, lot="lot", priority=5, recursive=True,
        glob=None, only_new=False, key=None,
    )  # fmt: skip
    listing.add_items(engine, job_id, [(str(path), 1, 1) for path in lot], 1, 100)
    listing.close_listing(engine, job_id, found=len(lot), seen_before=0, left_out={}, deferred=[])
    claim = batches.claim_batch(engine, job_id, 1, "me", 60.0)
    outcomes = []
    for item, path in zip(claim.items, lot, strict=True):
        uri = f"{job_id}/{item.id}.png"
        (settings.map_store / uri).parent.mkdir(parents=True, exist_ok=True)
        (settings.map_store / uri).write_bytes(pack_heat(HEAT))
        outcomes.append(
            Outcome(
                item.id, ItemState.SCORED, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), raw_score=1.0,
                score=0.8, p_value=0.01, flagged=True, map_uri=None if path.name == "no_map.png" else uri,
            )
        )  # fmt: skip
    batches.finish_batch(engine, claim, outcomes, host="here", code_version="0")
    lot[4].unlink()
    Image.new("L", (100, 60), 255).save(lot[5])
    numbers = [item.id for item in claim.items]
    for number, word, kind in (
        (0, Verdict.DEFECT, "kratzer, tief"),
        (1, Verdict.DEFECT, None),
        (2, Verdict.GOOD, None),
    ):
        verdicts.add_verdict(engine, numbers[number], word, kind=kind, reviewer="ann")
    return numbers


def load(folder: Path) -> dict:
    """The labels of an export, held against the rules of the format."""
    assert [path.name for path in folder.glob(".*")] == []
    coco = json.loads((folder / "labels.json").read_text(encoding="ascii"))
    assert set(coco) == {"info", "licenses", "images", "annotations", "categories"}
    for name in ("images", "annotations", "categories"):
        ids = [one["id"] for one in coco[name]]
        assert all(type(one) is int and one > 0 for one in ids)
        assert len(set(ids)) == len(ids)
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    assert len({image["file_name"] for image in coco["images"]}) == len(sizes)
    named = {one["id"] for one in coco["categories"]}
    for one in coco["annotations"]:
        width, height = sizes[one["image_id"]]
        assert one["category_id"] in named
        assert one["iscrowd"] == 0
        (ring,) = one["segmentation"]
        x, y = np.array(ring).reshape(-1, 2).T
        assert len(x) >= 4
        assert (x.min() >= 0, y.min() >= 0, x.max() <= width, y.max() <= height) == (True,) * 4
        assert one["bbox"] == pytest.approx([x.min(), y.min(), np.ptp(x), np.ptp(y)], abs=0.02)
        assert one["area"] == pytest.approx(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2, abs=0.02)
        assert 0.5 < one["score"] < 1
    return coco


def test_spots_lie_where_the_heat_is_and_carry_what_people_said(engine, settings, items, lot, tmp_path):
    found = export_coco(engine, settings, items, tmp_path / "out", copy=False)
    coco = load(tmp_path / "out")
    assert [image["id"] for image in coco["images"]] == [items[n] for n in (0, 1, 2, 3, 6)]
    assert [image["file_name"] for image in coco["images"]] == [str(lot[n]) for n in (0, 1, 2, 3, 6)]
    assert (found.images, found.annotations, found.without_map) == (5, len(coco["annotations"]), 1)
    assert [(one["item"], one["path"]) for one in found.left_out] == [(items[n], str(lot[n])) for n in (4, 5)]
    assert "not there" in found.left_out[0]["why"]
    assert "SHA-256 differs" in found.left_out[1]["why"]
    names = {one["id"]: one["name"] for one in coco["categories"]}
    spots = {
        image["id"]: [(names[one["category_id"]], one["bbox"]) for one in coco["annotations"]
                      if one["image_id"] == image["id"]]
        for image in coco["images"]
    }  # fmt: skip
    # 100 x 60 pixels under 5 x 4 places.
    places = [[60.0, 15.0, 40.0, 15.0], [0.0, 45.0, 20.0, 15.0]]
    assert spots[items[0]] == [("kratzer, tief", place) for place in places]
    assert spots[items[6]] == [("odd", place) for place in places]
    assert spots[items[2]] == spots[items[3]] == []
    # Turned by its EXIF, the picture is 60 x 100.
    turned = [[36.0, 25.0, 24.0, 25.0], [0.0, 75.0, 12.0, 25.0]]
    assert spots[items[1]] == [("defect", place) for place in turned]
    assert [image["verdict"] for image in coco["images"]] == ["defect", "defect", "good", None, None]


def test_copies_are_the_bytes_that_were_inspected_under_names_that_every_tool_takes(
    engine, settings, items, lot, tmp_path
):  # fmt: skip
    export_coco(engine, settings, items, tmp_path / "out", copy=True)
    coco = load(tmp_path / "out")
    names = [f"{items[0]}.png", f"{items[1]}.jpg", f"{items[2]}.bmp", f"{items[3]}.png", str(items[6])]
    assert [image["file_name"] for image in coco["images"]] == names
    assert sorted(path.name for path in (tmp_path / "out" / "data").iterdir()) == sorted(names)
    for image in coco["images"]:
        data = (tmp_path / "out" / "data" / image["file_name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == image["sha256"] == get_item(engine, image["id"]).sha256


def test_maps_that_are_gone_damaged_or_placeless_leave_images_without_annotations(engine, settings, items, tmp_path):
    job_id = get_item(engine, items[0]).job_id
    (settings.map_store / f"{job_id}/{items[0]}.png").unlink()
    (settings.map_store / f"{job_id}/{items[1]}.png").write_bytes(b"no map")
    (settings.map_store / f"{job_id}/{items[6]}.png").write_bytes(pack_heat(np.full((4, 4), 0.5)))
    found = export_coco(engine, settings, items, tmp_path / "out", copy=False)
    assert load(tmp_path / "out")["annotations"] == []
    assert (found.images, found.annotations, found.without_map) == (5, 0, 3)


def test_nothing_is_an_export_too_and_an_earlier_one_is_not_overwritten_unasked(engine, settings, items, tmp_path):
    export_coco(engine, settings, [], tmp_path / "out", copy=True)
    assert load(tmp_path / "out")["images"] == []
    with pytest.raises(OddlotError, match="exists"):
        export_coco(engine, settings, items, tmp_path / "out", copy=True)
    export_coco(engine, settings, items, tmp_path / "out", copy=True, force=True)
    assert len(load(tmp_path / "out")["images"]) == 5
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OddlotError, match="file cannot be written"):
        export_coco(engine, settings, items, tmp_path / "file", copy=False)
