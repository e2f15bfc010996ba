"""The template itself: its questions, hooks, command and pages, and its output."""
