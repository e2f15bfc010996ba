"""Select the backups to delete."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .manifest import Manifest

DATABASE = ""  # stands for the whole database among the ids of tenants


def superfluous(manifests: Sequence[Manifest], keep: int) -> list[Manifest]:
    """Those of these backups, given newest first, that can be deleted.

    The newest are kept, for the whole database and for each tenant separately. The one from before
    the first of several attempts to reach a revision is kept as well, until an attempt succeeds:
    later ones may contain half of a migration, and each restart of a service that cannot start
    makes one more.
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
    kept = {manifest.name for backups in counted.values() for manifest in backups[:keep]}
    kept.update(name for backups in attempts.values() for name in _first_attempts(backups))
    return [manifest for manifest in manifests if manifest.name not in kept]


def _first_attempts(backups: Iterable[tuple[Manifest, str]]) -> Iterable[str]:
    """The first backup for each target that no run has reached, since the last successful run.

    Args:
        own: backups of one database or tenant, newest first, with its revision at that time.
    """
    first: dict[str, str] = {}
    reached: str | None = None  # when the next backup was made
    for manifest, revision in backups:
        if manifest.target is not None:
            if manifest.target == reached:
                break
            first[manifest.target] = manifest.name
        reached = revision
    return first.values()
