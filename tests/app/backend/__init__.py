"""A small app of the kind that calib-cleanup serves; its utils/cleanup.py is scripts/app's."""
