"""What the app runs beside its requests."""
