"""Turns the effects of migrations into findings, notices and accepted findings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .model import UNSEEN, Dialect, Finding, Hit, Linted, Report, Rule
from .rules import RULES


def judge(linted: Sequence[Linted], dialect: Dialect) -> Report:
    """All findings, in the order of the migrations and their statements."""
    findings: list[Finding] = []
    notices: list[Finding] = []
    silenced: list[Finding] = []
    for one in linted:
        found = _findings(one, dialect)
        for finding in found:
            if reason := _accepted(one, finding):
                silenced.append(replace(finding, reason=reason))
            else:
                (notices if finding.notice else findings).append(finding)
        findings += _ignores(one, [code for finding in found for code in finding.codes])
        notices += _notices(one, found)
    names = tuple(one.migration.name for one in linted)
    return Report(names, tuple(findings), tuple(notices), tuple(silenced))


def _findings(one: Linted, dialect: Dialect) -> list[Finding]:
    found: dict[tuple[int, str], Finding] = {}
    for rule in RULES:
        for hit in rule.check(one, dialect):
            at = one.effects.index(hit.effect) if hit.effect else len(one.effects)
            key = (at, rule.family or rule.code)
            if key in found:
                found[key] = _joined(found[key], rule, hit)
            else:
                found[key] = _finding(one, rule, hit, dialect)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _finding(one: Linted, rule: Rule, hit: Hit, dialect: Dialect) -> Finding:
    effect, migration = hit.effect, one.migration
    rewrite = hit.rewrite
    if rewrite is None:
        rewrite = tuple(step.code() for step in dialect.rewrite(effect)) if effect else ()
    if any(UNSEEN in code for code in rewrite):
        rewrite = ()
    return Finding(
        codes=(rule.code,),
        migration=migration.name,
        path=migration.path,
        detail=hit.detail,
        why=rule.why,
        instead=rule.instead,
        statement=" ".join(effect.sql.split()) if effect else "",
        line=effect.line if effect else None,
        table=hit.table,
        lock=hit.lock,
        rewrite=rewrite,
        notice=rule.contract and migration.phase == "contract",
    )


def _joined(finding: Finding, rule: Rule, hit: Hit) -> Finding:
    codes = (*finding.codes, rule.code) if rule.code not in finding.codes else finding.codes
    detail = finding.detail if hit.detail in finding.detail else f"{finding.detail} {hit.detail}"
    rewrite = (
        *finding.rewrite,
        *(code for code in hit.rewrite or () if code not in finding.rewrite),
    )
    lock = finding.lock or hit.lock
    return replace(finding, codes=codes, detail=detail, lock=lock, rewrite=rewrite)


# -- What the author accepts ---------------------------------------------------------------------


def _accepted(one: Linted, finding: Finding) -> str | None:
    ignores = one.migration.ignores
    return next((ignores[code] for code in finding.codes if ignores.get(code, "").strip()), None)


def _ignores(one: Linted, codes: Sequence[str]) -> Iterator[Finding]:
    for code, reason in one.migration.ignores.items():
        if code not in codes:
            yield _about(
                one, "unused-ignore", f"lint_ignore names {code}, which is not found here."
            )
        elif not reason.strip():
            yield _about(one, "ignore-without-reason", f"lint_ignore gives no reason for {code}.")


# Codes without a rule: why, and what to do instead.
WORDS = {
    "unused-ignore": (
        "It would hide a later finding.",
        "Remove the entry from lint_ignore.",
    ),
    "ignore-without-reason": (
        "Nobody can check later if it is still valid.",
        'Give the reason: lint_ignore = {"code": "reason"}.',
    ),
    "brief-lock": (
        "It waits for running queries of the table, and later ones wait behind it.",
        "Nothing to do: the engine limits the wait, and tries again.",
    ),
    "downgrade-drops-data": (
        "A rollback drops the data that was written meanwhile.",
        "Nothing to do; make a backup before a rollback.",
    ),
}


def _about(one: Linted, code: str, detail: str, *, notice: bool = False) -> Finding:
    why, instead = WORDS[code]
    path = one.migration.path
    return Finding((code,), one.migration.name, path, detail, why, instead, notice=notice)


# -- Notices -------------------------------------------------------------------------------------


def _notices(one: Linted, found: Sequence[Finding]) -> Iterator[Finding]:
    reported = {(finding.line, finding.statement) for finding in found if finding.lock}
    brief = {
        f"{lock} on {table}"
        for effect in one.effects
        if (effect.line, " ".join(effect.sql.split())) not in reported
        for table, lock in effect.locks.items()
    }
    if brief:
        yield _about(one, "brief-lock", f"Briefly: {', '.join(sorted(brief))}.", notice=True)
    if added := sorted(_added(one)):
        drops = f"The downgrade drops {', '.join(added)}, with the data in it."
        yield _about(one, "downgrade-drops-data", drops, notice=True)


def _added(one: Linted) -> Iterator[str]:
    if not one.was_undone:
        return
    old = {(t.kind, t.table, t.name) for t in one.start.values()}
    for key, new in one.end.items():
        if key in one.start or (new.kind, new.table, new.name) in old:
            continue
        if new.kind == "table" and new.facts["kind"] in ("r", "p"):
            yield new.name
        elif new.kind == "column" and ("table", "", new.table) in old:
            yield f"{new.table}.{new.name}"
