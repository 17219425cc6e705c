"""URLs of the registry's database: which kinds there are, and that none holds a secret."""

from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql",
    "postgresql+psycopg": "postgresql",
}
"""Schemes of the URLs, and the kind of database that each names."""
POSTGRESQL_OPTIONS = frozenset({
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "gssencmode",
    "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
    "keepalives_interval", "krbsrvname", "load_balance_hosts", "options", "port", "require_auth",
    "requirepeer", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert",
    "sslcertmode", "sslcrl", "sslcrldir", "sslkey", "sslmode", "sslnegotiation", "sslrootcert",
    "target_session_attrs", "tcp_user_timeout", "user",
})  # fmt: skip
"""Parameters of libpq that say where the server is and how to talk to it.

Source: PostgreSQL 18, section 32.1.2. Left out: those that hold a secret or name a file of them
(`password`, `passfile`, `sslpassword`, the keys of SCRAM and OAuth), those that fetch other
parameters from elsewhere (`service`, `servicefile`), and those that would break the driver.
"""


def check_database_url(url: str) -> str:
    """`url` itself, when a registry can live there; no message repeats any value in it.

    Raises:
        ValueError: it is of another kind, holds a secret, or would not be kept in a file.
    """
    try:
        parts = urlsplit(url)
        has_password = bool(parts.password)
    except ValueError:
        raise ValueError(
            "the database URL is malformed; "
            "write sqlite:///path/registry.db or postgresql://user@host/database"
        ) from None
    if has_password:
        raise ValueError(
            "the database URL holds a password; take it out and put it in PGPASSWORD or ~/.pgpass"
        )
    match SCHEMES.get(parts.scheme):
        case "sqlite":
            _check_sqlite(url, parts.netloc, parts.path)
        case "postgresql":
            _check_postgresql(parts.query)
        case _:
            raise ValueError("wanted sqlite:///PATH or postgresql://USER@HOST/DATABASE; use one")
    return url


def _check_sqlite(url: str, netloc: str, path: str) -> None:
    name = unquote(path[1:])
    if netloc or not name or name.startswith((":memory:", "file:")) or {"?", "#"} & set(url):
        raise ValueError(
            "a SQLite registry needs a file and no options; use sqlite:///path/registry.db"
        )


def _check_postgresql(query: str) -> None:
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name in POSTGRESQL_OPTIONS:
            continue
        is_name = name.isidentifier() and len(name) <= 40
        raise ValueError(
            f"the database URL holds {name if is_name else 'an odd option'}, which may carry a "
            "secret or is not known; take it out: passwords go in PGPASSWORD or ~/.pgpass, a "
            "service in PGSERVICE, the key of a certificate in a file without a password"
        )
