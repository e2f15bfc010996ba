"""A generated service from outside: its own checks, its pages, its wheel, and how it serves."""
