"""The registry's tables, and the triggers that keep its history from being rewritten."""

import sqlalchemy as sa

from loray.errors import RegistryError

SCHEMA_VERSION = 1

METADATA = sa.MetaData()

meta = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(64), nullable=False),
)
"""`schema`: its version; `identity`: the registry's, which its storage root has, too.

Publishers lock the rows shared, the sweeper of blobs alone.
"""

adapter = sa.Table(
    "adapter",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("last_version", sa.Integer, nullable=False),
)

version = sa.Table(
    "version",
    METADATA,
    sa.Column("name", sa.ForeignKey(adapter.c.name), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("adapter_digest", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(200), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("base_model", sa.String(1024), nullable=False),
    sa.Column("base_digest", sa.String(64), nullable=False),
    sa.Column("base_revision", sa.String(1024)),
    sa.Column("spec_digest", sa.String(1024)),
    sa.Column("dataset", sa.String(1024)),
    sa.Column("training", sa.String(1024)),
    sa.Column("evaluation", sa.String(1024)),
    sa.Column("checkpoint_step", sa.Integer),
    sa.Column("code_version", sa.String(1024)),
    sa.Column("parents", sa.JSON, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.CheckConstraint(
        "state IN ('registered', 'evaluated', 'promotable', 'rejected', 'withdrawn')",
        name="state_is_known",
    ),
)

alias = sa.Table(
    "alias",
    METADATA,
    sa.Column("name", sa.ForeignKey(adapter.c.name), primary_key=True),
    sa.Column("alias", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["name", "version"], [version.c.name, version.c.number]),
)
"""Rows stay when an alias is removed, so that a generation is never seen twice."""

event = sa.Table(
    "event",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("operation", sa.String(32), nullable=False, unique=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.ForeignKey(adapter.c.name), nullable=False, index=True),
    sa.Column("alias", sa.String(64)),
    sa.Column("generation", sa.Integer),
    sa.Column("from_version", sa.Integer),
    sa.Column("to_version", sa.Integer),
    sa.Column("from_state", sa.String(16)),
    sa.Column("to_state", sa.String(16)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.UniqueConstraint("name", "alias", "generation"),
    sqlite_autoincrement=True,
)

lease = sa.Table(
    "lease",
    METADATA,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("host", sa.String(400), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("process_started", sa.String(32), nullable=False),
    sa.Column("acquired", sa.Float, nullable=False),
    sa.Column("heartbeat", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("is_released", sa.Boolean, nullable=False),
)
"""Times are seconds since 1970 on the database's clock."""

_FROZEN_COLUMNS = ", ".join(c.name for c in version.c if c is not version.c.state)
_GUARDS = (
    ("event_is_append_only_1", "UPDATE ON event"),
    ("event_is_append_only_2", "DELETE ON event"),
    ("version_is_immutable_1", f"UPDATE OF {_FROZEN_COLUMNS} ON version"),
    ("version_is_immutable_2", "DELETE ON version"),
)
_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION loray_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'loray: history is never rewritten'; END $$
"""


def create_tables(connection: sa.Connection) -> None:
    """Make what is missing; call it inside a write transaction."""
    if connection.dialect.name == "postgresql":  # two first users at once: one waits here
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(712340911)")
        connection.exec_driver_sql(_POSTGRESQL_FUNCTION)
    if read_schema_version(connection) is not None:
        return
    METADATA.create_all(connection)
    for name, what in _GUARDS:
        action = "EXECUTE FUNCTION loray_refuse()"
        if connection.dialect.name == "sqlite":
            action = "BEGIN SELECT RAISE(ABORT, 'loray: history is never rewritten'); END"
        statement = f"CREATE TRIGGER {name} BEFORE {what} FOR EACH ROW {action}"
        connection.exec_driver_sql(statement)
    connection.execute(meta.insert().values(key="schema", value=str(SCHEMA_VERSION)))


def read_schema_version(connection: sa.Connection) -> int | None:
    """The schema version of the database; None where loray has made no tables yet.

    Raises:
        RegistryError: it is one that this loray does not know, or the tables are another program's.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(meta.name):
        is_file = connection.dialect.name == "sqlite"  # of PostgreSQL others may use a part
        _refuse_other_tables(inspector.get_table_names() if is_file else [])
        return None
    found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema"))
    if found is None:
        _refuse_other_tables([meta.name])
    if found != str(SCHEMA_VERSION):
        raise RegistryError(
            f"the registry's database has schema {found}, this loray knows {SCHEMA_VERSION}; "
            "use the loray that made it, or a newer one"
        )
    return SCHEMA_VERSION


def _refuse_other_tables(names: list[str]) -> None:
    if names:
        raise RegistryError(
            f"the database holds another program's tables ({ascii(sorted(names)[:3])[1:-1]}); "
            "give loray a database or schema of its own"
        )
