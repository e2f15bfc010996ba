"""The template's own tools: programs for ``make``, and helpers for the tests.

They are not part of a generated service; a service's interpreter runs ``page_parts.py`` from
here.
"""
