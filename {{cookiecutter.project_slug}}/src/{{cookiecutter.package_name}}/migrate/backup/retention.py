"""Which backups are too many."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .manifest import Manifest

DATABASE = ""  # beside the ids of tenants


def superfluous(manifests: Sequence[Manifest], keep: int) -> list[Manifest]:
    """Those of these backups, newest first, that nothing needs any more.

    The newest are kept, of the whole database and of each tenant apart. So is the one before the first
    of several attempts to reach a revision, until one succeeds: those after it may hold half of a
    migration, and there is one more after each restart of a service that cannot start.
    """
    counted: dict[str, list[Manifest]] = defaultdict(list)
    attempts: dict[str, list[tuple[Manifest, str]]] = defaultdict(list)
    for manifest in manifests:
        for whose in (DATABASE,) if manifest.whole else manifest.tenants:
            counted[whose].append(manifest)
        if manifest.whole:
            attempts[DATABASE].append((manifest, manifest.revision or ""))
        for tenant, facts in manifest.tenants.items():
            attempts[tenant].append((manifest, facts.revision or ""))
    kept = {manifest.name for own in counted.values() for manifest in own[:keep]}
    kept.update(name for own in attempts.values() for name in _first_attempts(own))
    return [manifest for manifest in manifests if manifest.name not in kept]


def _first_attempts(own: Iterable[tuple[Manifest, str]]) -> Iterable[str]:
    """The first backup for each target that runs have not reached, since one did reach its own.

    Args:
        own: backups of one database or tenant, newest first, with the revision that it had.
    """
    first: dict[str, str] = {}
    reached: str | None = None  # by the time of the next backup
    for manifest, revision in own:
        if manifest.target is not None:
            if manifest.target == reached:
                break
            first[manifest.target] = manifest.name
        reached = revision
    return first.values()
