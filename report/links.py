"""Addresses of the review page, as people reach it from elsewhere."""

from oddlot.settings import Settings


def job_link(settings: Settings, job_id: int) -> str | None:
    """The page of a job; None where `ODDLOT_PUBLIC_URL` is not set."""
    return f"{settings.public_url.rstrip('/')}/jobs/{job_id}" if settings.public_url else None


def item_link(settings: Settings, item_id: int) -> str | None:
    """The page of an item; None where `ODDLOT_PUBLIC_URL` is not set."""
    return f"{settings.public_url.rstrip('/')}/items/{item_id}" if settings.public_url else None
