"""The session database, where DATABASE_URL, backend/.env or .env say, else beside the code."""

import os
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker


def database_url() -> str:
    """The URL that the app goes by; a relative path in it starts at the working directory."""
    file = next((path for path in ("backend/.env", ".env") if Path(path).exists()), None)
    written = dotenv_values(file).get("DATABASE_URL") if file else None
    return os.environ.get("DATABASE_URL") or written or "sqlite:///backend/calibration.db"


# SQLAlchemy 1.4 needs this where requests run in a pool of threads; 2.0 does it by itself.
engine = create_engine(database_url(), connect_args={"check_same_thread": False})
new_session = sessionmaker(bind=engine, autoflush=False)
Base = declarative_base()


def get_database() -> Iterator[Session]:
    """A session of SQLAlchemy's for one request."""
    with new_session() as database:
        yield database
