"""Backups: made before a run, listed, restored.

A backup is one or several files and a manifest that describes them. The manifest is written last:
files without a manifest are not a backup. A restore first creates a new database (or a tenant's new
schema), compares it with the manifest, and swaps it with the old one in one step; the old one is
kept under a dated name until :func:`forget_kept`.

Belongs here: code for both databases; saving and swapping a specific one is in
``backends/<database>/backup.py``. May import: ``backends``, ``drift``, ``lock`` and what is below
them. Imported by: ``exports``, ``tenants``.
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
