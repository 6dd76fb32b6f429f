"""The queued fit. Its message holds one whole number; everything else comes from SQL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from db import fits
from db.engine import open_database
from sqlalchemy import Engine

from oddlot.errors import LateResult, OddlotError
from oddlot.processes import available_cores, identity
from oddlot.queue import FIT_TASK
from oddlot.settings import Settings, load_settings
from trainer.app import app
from trainer.fit import FitOptions, fit


@app.task(name=FIT_TASK, ignore_result=True)
def run_fit(fit_id: int) -> None:
    """Do one fit that waits in the database; nothing happens where somebody else holds or has done it."""
    if type(fit_id) is not int:
        raise TypeError(f"{FIT_TASK} takes one whole number")
    settings = load_settings()
    engine = open_database(settings.database_url)
    claim = fits.claim_fit(engine, fit_id, identity(), settings.lease_seconds)
    if claim is None:
        return
    with _kept_lease(engine, settings, claim):
        try:
            report = fit(engine, settings, FitOptions(**claim.options), threads=available_cores())
        except OddlotError as error:
            fits.fail_fit(engine, claim, str(error))
            return
    try:
        fits.finish_fit(engine, claim, report.model.id)
    except LateResult:
        return  # the model is registered; whoever took over will register another version


@contextmanager
def _kept_lease(engine: Engine, settings: Settings, claim: fits.FitClaim) -> Iterator[None]:
    """Renew a fit's lease from a thread while the block runs."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(settings.lease_seconds / 4):
            fits.renew(engine, claim, settings.lease_seconds)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
