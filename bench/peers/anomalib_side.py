"""Anomalib's GANomaly, in the virtual environment of the peers: `python -m bench.peers` starts this file.

Trains on a folder, predicts a folder, prints one line of JSON: pictures a second of both, and of a second prediction in
batches without pictures drawn, which is not how it comes.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from anomalib.data import Folder, PredictDataset
from anomalib.data.utils import TestSplitMode, ValSplitMode
from anomalib.engine import Engine
from anomalib.models import Ganomaly
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader


class Clock(Callback):
    """When each epoch ended."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_train_epoch_end(self, *_: object) -> None:
        self.moments.append(time.monotonic())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=Path, required=True)
    parser.add_argument("--night", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--readers", type=int, default=8)
    wish = parser.parse_args()
    torch.manual_seed(0)
    side = (wish.size, wish.size)
    data = Folder(
        name="part", root=wish.good.parent, normal_dir=wish.good.name, train_batch_size=wish.batch,
        num_workers=wish.readers, test_split_mode=TestSplitMode.NONE, val_split_mode=ValSplitMode.NONE,
    )  # fmt: skip
    model = Ganomaly(batch_size=wish.batch, pre_processor=Ganomaly.configure_pre_processor(side))
    clock = Clock()
    engine = Engine(
        max_epochs=wish.epochs, accelerator="cpu", devices=1, callbacks=[clock], default_root_dir=wish.work,
        limit_val_batches=0,
    )  # fmt: skip
    engine.fit(model=model, datamodule=data)
    pictures = len(data.train_data)
    trained = pictures * (wish.epochs - 1) / (clock.moments[-1] - clock.moments[0])

    night = sum(1 for _ in wish.night.iterdir())
    began = time.monotonic()
    found = engine.predict(model=model, data_path=wish.night)
    predicted = night / (time.monotonic() - began)
    assert found is not None

    dataset = PredictDataset(wish.night, image_size=side)
    loader = DataLoader(dataset, batch_size=32, num_workers=2, collate_fn=dataset.collate_fn)
    plain = Engine(accelerator="cpu", devices=1, default_root_dir=wish.work)
    model.visualizer = None
    began = time.monotonic()
    plain.predict(model=model, dataloaders=loader)
    batched = night / (time.monotonic() - began)
    print(json.dumps({"trained": trained, "predicted": predicted, "batched": batched, "pictures": pictures}))


if __name__ == "__main__":
    main()
