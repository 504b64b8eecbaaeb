"""Clips: read, enhanced without flicker, and written with all that they hold beside their pictures."""
