"""The seven tables, in a style that SQLAlchemy 1.4 and 2.0 share."""

from datetime import datetime, timezone

from sqlalchemy import Boolean, Column, DateTime, Float, ForeignKey, Integer, String

from .database import Base


def utc_now() -> datetime:
    """Now in UTC, without a zone, as every table keeps it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def session_key(*, unique: bool = False) -> Column:
    """The column that ties a row to its session."""
    return Column(String, ForeignKey("sessions.id", ondelete="CASCADE"), unique=unique)


class Stamped:
    """When a row was made and changed."""

    created_at = Column(DateTime, default=utc_now)
    updated_at = Column(DateTime, default=utc_now, onupdate=utc_now)


class Board:
    """The pattern that was seen."""

    pattern_type = Column(String, nullable=False)
    columns = Column(Integer, nullable=False)
    rows = Column(Integer, nullable=False)
    square_size = Column(Float, nullable=False)


class Session(Base):
    """One upload: a row here, and a directory of images."""

    __tablename__ = "sessions"
    id = Column(String, primary_key=True)
    images_dir = Column(String, nullable=False)
    created_at = Column(DateTime, default=utc_now)


class CalibrationImage(Base):
    """One image of a session."""

    __tablename__ = "calibration_images"
    id = Column(Integer, primary_key=True)
    session_id = session_key()
    image_path = Column(String, nullable=False)
    uploaded_at = Column(DateTime, default=utc_now)


class CalibrationResult(Stamped, Board, Base):
    """The camera as one session shows it."""

    __tablename__ = "calibration_results"
    id = Column(Integer, primary_key=True)
    session_id = session_key(unique=True)
    camera_matrix = Column(String, nullable=False)
    distortion_coefficients = Column(String, nullable=False)
    reprojection_error = Column(Float, nullable=False)


class CalibrationParameters(Stamped, Base):
    """What the user chose for a session."""

    __tablename__ = "calibration_parameters"
    id = Column(Integer, primary_key=True)
    session_id = session_key(unique=True)
    calibration_type = Column(String)
    camera_model = Column(String)
    pattern_type = Column(String)
    checkerboard_columns = Column(Integer)
    checkerboard_rows = Column(Integer)
    square_size = Column(Float)
    run_optimization = Column(Boolean)
    marker_size = Column(Float)
    aruco_dict_name = Column(String)


class StereoCalibrationResult(Stamped, Board, Base):
    """Two cameras; session_id is stereo_<left id>_<right id>."""

    __tablename__ = "stereo_calibration_results"
    id = Column(Integer, primary_key=True)
    session_id = session_key(unique=True)
    left_camera_matrix = Column(String, nullable=False)
    left_distortion_coefficients = Column(String, nullable=False)
    right_camera_matrix = Column(String, nullable=False)
    right_distortion_coefficients = Column(String, nullable=False)
    rotation_matrix = Column(String, nullable=False)
    translation_vector = Column(String, nullable=False)
    essential_matrix = Column(String, nullable=False)
    fundamental_matrix = Column(String, nullable=False)
    rectification_matrix_left = Column(String, nullable=False)
    rectification_matrix_right = Column(String, nullable=False)
    projection_matrix_left = Column(String, nullable=False)
    projection_matrix_right = Column(String, nullable=False)
    disparity_to_depth_mapping = Column(String, nullable=False)
    reprojection_error = Column(Float, nullable=False)


class LiveCaptureSession(Base):
    """A camera at work for a session."""

    __tablename__ = "live_capture_sessions"
    id = Column(String, primary_key=True)
    session_id = session_key()
    is_active = Column(Boolean)
    auto_capture_enabled = Column(Boolean)
    quality_threshold = Column(Float)
    created_at = Column(DateTime, default=utc_now)


class CalibrationQualityMetrics(Stamped, Base):
    """How good the images of a session are."""

    __tablename__ = "calibration_quality_metrics"
    id = Column(Integer, primary_key=True)
    session_id = session_key(unique=True)
    coverage_score = Column(Float, nullable=False)
    center_coverage = Column(Float, nullable=False)
    corner_coverage = Column(Float, nullable=False)
    edge_coverage = Column(Float, nullable=False)
    pose_diversity_score = Column(Float, nullable=False)
    angle_diversity = Column(Float, nullable=False)
    distance_diversity = Column(Float, nullable=False)
    recommendations = Column(String, nullable=False)
