"""The queued fit. Its message holds one whole number; everything else comes from SQL."""

import time

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import fits
from db.engine import open_database
from oddlot.errors import LateResult, OddlotError
from oddlot.leases import kept_lease
from oddlot.processes import available_cores, identity
from oddlot.queue import FIT_TASK
from oddlot.settings import Settings, load_settings
from trainer.app import app
from trainer.fit import FitOptions, fit, why_not_active

log = structlog.get_logger(__name__)


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
    with structlog.contextvars.bound_contextvars(fit=fit_id, model=claim.options.get("name")):
        _fit(engine, settings, claim)


def _fit(engine: Engine, settings: Settings, claim: fits.FitClaim) -> None:
    started = time.monotonic()
    log.info("fit begun", attempt=claim.fencing)
    with kept_lease(lambda: _renewed(engine, settings, claim), settings.lease_seconds / 4):
        try:
            report = fit(engine, settings, FitOptions(**claim.options), threads=available_cores())
            fits.finish_fit(engine, claim, report.model.id, why_not_active(report))
            log.info("fit done", version=report.model.version, state=str(report.model.state),
                     seconds=round(time.monotonic() - started, 1))  # fmt: skip
        except LateResult as error:
            # the model is registered; whoever took over will register another version
            log.warning("late fit refused", error=str(error))
        except OddlotError as error:
            fits.fail_fit(engine, claim, str(error))
            log.warning("fit failed", error=str(error))
        except Exception as error:
            # Said where somebody looks, instead of "fell silent" after three rounds; the log has the traceback.
            fits.fail_fit(engine, claim, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
            raise


def _renewed(engine: Engine, settings: Settings, claim: fits.FitClaim) -> bool:
    try:
        return fits.renew(engine, claim, settings.lease_seconds)
    except SQLAlchemyError:
        return True  # tried again in time
