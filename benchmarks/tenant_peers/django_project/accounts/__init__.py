"""The app accounts."""
