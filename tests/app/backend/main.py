"""The app: uvicorn backend.main:app, started in its root folder."""

import asyncio
import contextlib
import logging
import os

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from . import models, uploads
from .database import engine
from .utils.cleanup import CleanupError, run_cleanup

INTERVAL_SECONDS = float(os.environ.get("CLEANUP_INTERVAL_SECONDS", "3600"))

logger = logging.getLogger("uvicorn.error")


def clean_up() -> None:
    """One pass; what goes wrong is logged, and the next hour comes."""
    try:
        run_cleanup()
    except Exception:
        logger.exception("the clean-up failed")


async def clean_up_for_ever() -> None:
    """At once, and then every hour."""
    while True:
        await asyncio.to_thread(clean_up)
        await asyncio.sleep(INTERVAL_SECONDS)


async def start() -> None:
    """Keeps the task that cleans up: asyncio itself holds it only weakly."""
    app.state.cleaning = asyncio.create_task(clean_up_for_ever())


async def stop() -> None:
    """Ends that task."""
    app.state.cleaning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await app.state.cleaning


def say_what_failed(_: Request, error: Exception) -> JSONResponse:
    """503 where it is worth trying again, else 500, with the tool's message."""
    busy = isinstance(error, CleanupError) and error.busy
    headers = {"Retry-After": "60"} if busy else None
    return JSONResponse({"detail": str(error)}, 503 if busy else 500, headers)


models.Base.metadata.create_all(engine)
uploads.UPLOADS.mkdir(exist_ok=True)
app = FastAPI(title="Camera calibration", on_startup=[start], on_shutdown=[stop])
app.add_exception_handler(CleanupError, say_what_failed)
app.include_router(uploads.router)
app.mount("/files", StaticFiles(directory=uploads.UPLOADS), name="files")
