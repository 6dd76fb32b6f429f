"""The batches of which something is still to come, as the index of them has it."""

from sqlalchemy import ColumnElement, FromClause, literal_column

from db.schema import batch
from oddlot.words import OPEN_BATCH_STATES


def is_open(table: FromClause = batch) -> ColumnElement[bool]:
    """True of batches that wait or are in somebody's hands; ask for it also where one of the two states is asked for.

    The words stand in the statement: SQLite does not see that a value which comes later fits the index of the open
    batches, and would look at every batch that the job ever had, for each one that ends.
    """
    words: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in OPEN_BATCH_STATES]
    return table.c.state.in_(words)
