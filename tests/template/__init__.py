"""The template itself: its questions, hooks, command and pages, and what it bakes."""
