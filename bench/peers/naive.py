"""The worker that one writes first: a Celery task a picture, `keras.predict` of one picture in it, one process.

NAIVE_BROKER is the address of the queue. Weights are as they begin: what they are costs nothing.
"""

import os
from functools import cache

import numpy as np
from celery import Celery
from PIL import Image

app = Celery("naive", broker=os.environ["NAIVE_BROKER"], backend=os.environ["NAIVE_BROKER"])
SIDE = 64


@cache
def model():
    import keras

    from ganomaly.config import paper
    from ganomaly.networks import build_decoder, build_encoder

    config = paper(SIDE, 3)
    picture = keras.Input((SIDE, SIDE, 3))
    latent = build_encoder(config, 0, "encoder")(picture)
    fake = build_decoder(config, 1, "decoder")(latent)
    return keras.Model(picture, [latent, build_encoder(config, 2, "second_encoder")(fake)])


@app.task
def inspect(path: str) -> float:
    """The distance of the latents of one picture."""
    picture = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)), np.float32) / 127.5 - 1
    latent, latent_of_fake = model().predict(picture[np.newaxis], verbose=0)
    return float(np.abs(latent - latent_of_fake).mean())
