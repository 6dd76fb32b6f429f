"""A brake on guessing passwords. It counts in SQL, so it holds for all processes of the page together."""

from datetime import timedelta

from sqlalchemy import Engine, delete, func, insert, select

from db.accounts import key_of
from db.engine import now, writing
from db.schema import sign_in

WINDOW = timedelta(minutes=1)
OF_ADDRESS, OF_NAME, OF_ALL = 5, 10, 50
"""Sign-ins within WINDOW that may fail from one address, for one name, and altogether."""
KEY_LENGTH = 200


def begin_attempt(engine: Engine, name: str, address: str) -> int | None:
    """The number of an attempt that counts as failed until `forget_attempt`; None where there were too many.

    Counting and adding are one step: guesses that come at the same moment are not all the first.
    """
    key = key_of(name)[:KEY_LENGTH]
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("sign_in"))))
        moment = now(connection)
        connection.execute(delete(sign_in).where(sign_in.c.at < moment - WINDOW))
        counted = select(
            func.count(), func.count().filter(sign_in.c.address == address), func.count().filter(sign_in.c.key == key)
        ).select_from(sign_in)
        together, of_address, of_name = connection.execute(counted).one()
        if together >= OF_ALL or of_address >= OF_ADDRESS or of_name >= OF_NAME:
            return None
        new = insert(sign_in).values(key=key, address=address, at=moment).returning(sign_in.c.id)
        return int(connection.execute(new).scalar_one())


def forget_attempt(engine: Engine, attempt: int) -> None:
    """It succeeded. Those that failed before it still count: whoever has one password may guess another."""
    with writing(engine) as connection:
        connection.execute(delete(sign_in).where(sign_in.c.id == attempt))
