"""Runs the migrations on the connection that `db.migrate` gives, inside its transaction."""

from alembic import context

from db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
