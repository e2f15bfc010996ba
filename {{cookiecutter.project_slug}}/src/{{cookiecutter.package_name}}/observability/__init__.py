"""Observing the service: the log's format and the metrics' counters.

Belongs here: code that observes and never acts. May import: nothing of the service. Imported by:
everything above.
"""
