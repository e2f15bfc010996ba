"""The app customers."""
