"""The lint rules: one file for each rule, with its texts and its check.

If two rules of one family find the same statement, only the first in this list reports it.
"""

from ..model import Rule
from . import (
    blocks_all,
    blocks_writes,
    breaks_old_code,
    cannot_be_undone,
    changes_server,
    fails,
    fails_on_rows,
    long_transaction,
    loses_objects,
    lossy,
    needs_autocommit,
    no_lock_timeout,
    phases,
    rewrites_table,
    scans_table,
    touches_all_rows,
)

RULES: tuple[Rule, ...] = (
    fails.RULE,
    needs_autocommit.RULE,
    changes_server.RULE,
    rewrites_table.RULE,
    scans_table.RULE,
    blocks_all.RULE,
    blocks_writes.RULE,
    long_transaction.RULE,
    no_lock_timeout.RULE,
    touches_all_rows.RULE,
    breaks_old_code.RULE,
    lossy.RULE,
    loses_objects.RULE,
    fails_on_rows.RULE,
    cannot_be_undone.RULE,
    phases.MIXED,
    phases.ORDER,
)
