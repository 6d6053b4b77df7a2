"""The app: uvicorn backend.main:app, started in its root folder."""

import logging
import os
import threading
import time
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from . import models, uploads
from .database import engine
from .utils.cleanup import CleanupError, run_cleanup

INTERVAL_SECONDS = float(os.environ.get("CLEANUP_INTERVAL_SECONDS", "3600"))

logger = logging.getLogger("uvicorn.error")


def clean_up_for_ever() -> None:
    """One pass at once, and then every hour; what goes wrong is logged, and the next hour comes."""
    while True:
        try:
            run_cleanup(wait=30)
        except Exception:
            logger.exception("the clean-up failed")
        time.sleep(INTERVAL_SECONDS)


def say_what_failed(_: Request, error: Exception) -> JSONResponse:
    """503 where it is worth trying again, else 500; what it was, and where, stands in the log."""
    logger.error("clean-up: %s", error)
    if isinstance(error, CleanupError) and error.busy:
        return JSONResponse({"detail": error.public}, 503, {"Retry-After": "60"})
    return JSONResponse({"detail": "the clean-up failed; the server's log says why"}, 500)


models.Base.metadata.create_all(engine)
uploads.UPLOADS.mkdir(exist_ok=True)
app = FastAPI(title="Camera calibration")
app.add_exception_handler(CleanupError, say_what_failed)
app.include_router(uploads.router)
app.mount("/files", StaticFiles(directory=uploads.UPLOADS), name="files")
app.mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True), name="page")

threading.Thread(target=clean_up_for_ever, daemon=True).start()
