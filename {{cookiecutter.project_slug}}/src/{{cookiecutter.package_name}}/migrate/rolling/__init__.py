"""Rolling deploys: old and new releases on one schema.

``instances`` knows which replicas serve, ``gate`` holds contracts back until none lacks them,
``old_code`` says what old code would miss, and ``in_step`` keeps two columns equal meanwhile.

Belongs here: what looks at other releases than this one. May import: ``plan``, ``folder``,
``history``, ``backfill``, ``backends``. Imported by: ``runner``, ``api``, ``offline``, ``writing``.
"""
