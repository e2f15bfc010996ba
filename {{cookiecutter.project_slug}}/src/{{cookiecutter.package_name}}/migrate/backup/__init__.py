"""Backups: made before a run, listed, restored.

A backup is one or several files and, written last, a manifest that names and describes them: what
has no manifest is no backup. A restore makes a new database (or a tenant's new schema) first,
compares it with the manifest, and swaps it with the old one in one step; the old one is kept under a
dated name until :func:`forget_kept`.

Belongs here: what both databases have in common; how each is saved and swapped is in
``backends/<database>/backup.py``. May import: ``backends``, ``drift``, ``lock`` and what is below
them. Imported by: ``api``, ``tenants``.
"""

from .create import create_backup, list_backups
from .layout import Layout, Part, TenantFacts
from .manifest import Manifest
from .options import BackupOptions
from .restore import Restored, forget_kept, list_kept, restore_backup
from .store import DirectoryStore, Store

__all__ = [
    "BackupOptions",
    "DirectoryStore",
    "Layout",
    "Manifest",
    "Part",
    "Restored",
    "Store",
    "TenantFacts",
    "create_backup",
    "forget_kept",
    "list_backups",
    "list_kept",
    "restore_backup",
]
