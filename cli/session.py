"""What most commands begin with: the settings and an open database."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oddlot.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class Session:
    settings: Settings
    engine: "Engine"


def open_session() -> Session:
    """Raises SettingsError or DatabaseError, each one line."""
    settings = load_settings()
    from db.engine import open_database

    return Session(settings, open_database(settings.database_url))
