"""Rolling deploys: old and new releases on one schema.

``instances`` has the table of serving replicas, ``gate`` holds contracts back until no replica
lacks them, ``old_code`` makes new columns safe for old code, and ``in_step`` keeps two columns
equal.

Belongs here: code that considers other releases than this one. May import: ``plan``, ``folder``,
``backfill`` and what is below them. Imported by: ``runner``, ``status``, ``offline``, ``writing``,
``exports``.
"""
