"""The template's own tools: what ``make`` runs, and what the tests lean on.

Nothing here reaches a generated service, except ``page_parts.py``, which a service's own
interpreter runs from here.
"""
