"""The worker that one writes first: a Celery task a picture, `keras.predict` of one picture in it, one process.

NAIVE_BROKER is the address of the queue, NAIVE_MODEL a .keras file that gives the two latents.
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

    return keras.models.load_model(os.environ["NAIVE_MODEL"], compile=False)


@app.task
def inspect(path: str) -> float:
    """The distance of the latents of one picture."""
    picture = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)), np.float32) / 127.5 - 1
    latent, latent_of_fake = model().predict(picture[np.newaxis], verbose=0)
    return float(np.abs(latent - latent_of_fake).mean())
