"""For Alembic's own commands (``alembic check``, ``alembic revision --autogenerate``).

They run against an empty database in memory that is brought to the head first: what is
checked is the revisions against the tables, and no file of anybody's is touched.  The
program itself upgrades databases through `voiceid.store.upgrade`.
"""

from alembic import context
from sqlalchemy import create_engine

from voiceid.store.tables import metadata
from voiceid.store.upgrade import run_migrations

engine = create_engine("sqlite://")
with engine.connect() as connection:
    run_migrations(connection)
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
