"""Pictures of an object store on the page: read by the same process as files, or a reason why not."""

import io

import numpy as np
import pytest
from PIL import Image

from oddlot import objects
from pictures.thumbnail import size_of
from review.picture_process import PictureProcesses, PictureTrouble


def test_a_picture_is_shown_and_a_store_that_is_away_is_said(object_store) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 30), dtype=np.uint8)).save(stream, "PNG")
    object_store.put("lot/a.png", stream.getvalue())
    import hashlib

    wanted = {
        "what": "picture", "path": f"{object_store.url}/lot/a.png", "root": f"{object_store.url}/lot", "edge": 320,
        "sha256": hashlib.sha256(stream.getvalue()).hexdigest(), "preprocessing": None, "max_pixels": 10**6,
        "max_file_bytes": 10**6,
    }  # fmt: skip
    processes = PictureProcesses(count=1)
    try:
        assert size_of(processes.ask(**wanted)[1]) == (30, 40)
        with pytest.raises(PictureTrouble, match="leads out"):
            processes.ask(**wanted | {"root": f"{object_store.url}/other"})
        object_store.stop()
        with pytest.raises(PictureTrouble, match=r"object store .* does not answer"):
            processes.ask(**wanted)
    finally:
        processes.close()
    assert objects.HURRY < objects.PATIENCE
