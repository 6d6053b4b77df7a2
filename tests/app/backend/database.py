"""The session database."""

from collections.abc import Iterator

from sqlalchemy import create_engine, orm
from sqlalchemy.orm import declarative_base, sessionmaker

from .config import DATABASE_URL

# SQLAlchemy 1.4 needs this where requests run in a pool of threads; 2.0 does it by itself.
of_sqlite = {"check_same_thread": False} if DATABASE_URL.startswith("sqlite") else {}
engine = create_engine(DATABASE_URL, connect_args=of_sqlite)
SessionLocal = sessionmaker(bind=engine, autoflush=False)
Base = declarative_base()


def get_database() -> Iterator[orm.Session]:
    """A session of SQLAlchemy's for one request."""
    with SessionLocal() as database:
        yield database
