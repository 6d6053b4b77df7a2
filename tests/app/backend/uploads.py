"""Uploads, and how they go."""

import shutil
import uuid
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, File, HTTPException, Query, UploadFile
from sqlalchemy import orm

from .database import SessionLocal, get_database
from .models import CalibrationImage, Session
from .utils.cleanup import delete_session_now, run_cleanup

UPLOADS = Path("uploads")

router = APIRouter(prefix="/api/v1/upload", tags=["upload"])

# Every handler is a plain function: FastAPI runs it in its pool of threads, and a pass that takes
# its time holds up nobody else.


@router.post("/")
def upload_images(
    files: list[UploadFile] = File(...), database: orm.Session = Depends(get_database)
) -> dict[str, Any]:
    """A new session: its row is committed first, then the directory made, then the images."""
    if not all((file.content_type or "").startswith("image/") for file in files):
        raise HTTPException(400, "only images can be uploaded")
    session_id = str(uuid.uuid4())
    directory = UPLOADS / session_id
    database.add(Session(id=session_id, images_dir=str(directory)))
    database.commit()
    directory.mkdir()
    for number, file in enumerate(files):
        path = directory / f"image_{number:03d}.png"
        with path.open("wb") as stored:
            shutil.copyfileobj(file.file, stored)
        database.add(CalibrationImage(session_id=session_id, image_path=str(path)))
    database.commit()
    return {"session_id": session_id, "images": len(files)}


@router.get("/images/{session_id}")
def list_images(session_id: str, database: orm.Session = Depends(get_database)) -> dict[str, Any]:
    """Where the images of a session are served."""
    if database.get(Session, session_id) is None:
        raise HTTPException(404, "no such session")
    images = database.query(CalibrationImage).filter_by(session_id=session_id)
    paths = (Path(image.image_path).relative_to(UPLOADS) for image in images)
    return {"session_id": session_id, "images": [f"/files/{path}" for path in paths]}


@router.delete("/session/{session_id}")
def delete_session(session_id: str) -> dict[str, str]:
    """One session, whatever its age."""
    # Closed before the pass: a read that stays open would hold up its commit.
    with SessionLocal() as database:
        if database.get(Session, session_id) is None:
            raise HTTPException(404, "no such session")
    delete_session_now(session_id)
    return {"message": "Session deleted successfully"}


@router.post("/cleanup")
def clean_up(hours_old: float = Query(24, ge=0)) -> dict[str, Any]:
    """Sessions older than hours_old hours, and directories without a session."""
    try:
        return run_cleanup(hours_old)._asdict()
    except ValueError as error:  # infinity passes ge=0
        raise HTTPException(422, str(error)) from error
