"""The settings: from the environment, else from the first .env that python-dotenv finds."""

import os

from dotenv import load_dotenv

load_dotenv()

# A relative path in it starts at the working directory.
DATABASE_URL = os.getenv("DATABASE_URL") or "sqlite:///backend/calibration.db"
