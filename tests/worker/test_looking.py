"""Jobs of models that look at a region, or at tiles: what does not fit is unreadable, the rest is scored."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from shop import by_name, register, work_off

from db import jobs
from ganomaly.calibration import Calibration
from ganomaly.detector import Detector
from oddlot.words import ItemState, JobState
from pictures.preprocessing import Preprocessing
from pictures.reading import FILTER, read_picture
from pictures.region import Region, pack_mask, reduce_mask
from worker.submission import Submission, submit


@pytest.fixture
def preprocessing() -> Preprocessing:
    """Pictures of 40 x 40, but for a margin of 4; of that all but the upper right quarter; 2 x 2 tiles of 32."""
    mask = np.ones((32, 32), bool)
    mask[:16, 16:] = False
    packed = pack_mask(reduce_mask(mask, 48, 48, FILTER))
    return Preprocessing(32, 1, canvas=(48, 48), region=Region(4, 4, 32, 32, (40, 40), packed))


@pytest.fixture
def job(engine, settings, trained, own_store, lot, preprocessing):
    """The lot with a picture of another size and one with a defect beyond the region, submitted to such a model."""
    config = replace(trained.detector.config, rows=2, columns=2)
    detector = Detector.from_weights(config, trained.detector.weights())
    detector.look_at(preprocessing.mask)
    golden = np.random.default_rng(0).integers(0, 256, (20, 48, 48, 1), dtype=np.uint8)
    sha256 = trained.write(
        own_store / "flange" / "2", detector=detector, golden=golden[:2], preprocessing=preprocessing.to_dict(),
        calibration=Calibration.fit(detector.score(golden, maps=False).raw, 0.2),
    )  # fmt: skip
    register(engine, sha256, "flange/2")
    with Image.open(lot / "003.png") as picture:
        pixels = np.asarray(picture).copy()
    Image.fromarray(pixels[:, :30]).save(lot / "narrow.png")
    pixels[:4], pixels[8:16, 24:30] = 255, 0
    Image.fromarray(pixels).save(lot / "twin.png")
    pixels[24:30, 8:16] = 0
    Image.fromarray(pixels).save(lot / "odd.png")
    settings = replace(settings, model_store=own_store)
    job = submit(engine, settings, Submission(model="flange", folder=lot))
    work_off(engine, settings, job.id)
    return job, detector


def test_a_picture_that_does_not_fit_is_unreadable_and_the_batch_goes_on(engine, job):
    done = jobs.get_job(engine, job[0].id)
    assert (done.state, done.scored, done.unreadable, done.unaccounted) == (JobState.DONE, 22, 1, 0)
    narrow = by_name(engine, job[0].id)["narrow.png"]
    assert narrow["state"] == ItemState.UNREADABLE
    assert narrow["error"].startswith("30x40, but the model's region is defined on 40x40 pictures")
    assert len(narrow["sha256"]) == 64


def test_a_defect_outside_of_the_region_changes_no_bit_and_one_inside_does(engine, job, lot, preprocessing):
    found = by_name(engine, job[0].id)
    assert found["twin.png"]["raw_score"] == found["003.png"]["raw_score"]
    assert found["odd.png"]["raw_score"] != found["003.png"]["raw_score"]
    for name in ("000.png", "019.png", "odd.png"):
        picture = read_picture(str(lot / name), preprocessing, max_pixels=10**6, max_file_bytes=10**6)
        alone = job[1].score(picture.pixels[np.newaxis], maps=False)
        assert found[name]["raw_score"] == pytest.approx(alone.raw[0], rel=1e-5)  # by either library
