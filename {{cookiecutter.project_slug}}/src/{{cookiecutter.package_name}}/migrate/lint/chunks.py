"""An UPDATE or DELETE in chunks of a thousand keys."""

import re

from .model import text

_SKIPPED = r"""'(?:''|[^'])*'|"(?:""|[^"])*"|\$(\w*)\$.*?\$\1\$"""
_CLAUSE = re.compile(rf"(?is){_SKIPPED}|[()]|\b(?P<word>WHERE|RETURNING)\b")
_TARGET = re.compile(
    r"(?is)^\s*(?:UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?(?P<table>\"[^\"]+\"|[\w.]+)"
    r"(?:\s+(?:AS\s+)?(?P<alias>(?!(?:SET|WHERE|USING|RETURNING)\b)\w+))?"
)


def target(sql: str) -> str | None:
    """The table of an UPDATE or DELETE; None for other statements."""
    found = _TARGET.match(sql)
    return found["table"] if found else None


def chunked(sql: str, key: str) -> list[str]:
    """A loop that runs an UPDATE or DELETE for a thousand keys at a time.

    Args:
        sql: a statement that has a :func:`target`.
        key: a column of that table, unique and not null.
    """
    found = _TARGET.match(sql)
    assert found is not None
    head, condition, tail = _split(sql)
    where = f"({condition}) AND " * bool(condition) + f"{found['alias'] or found['table']}.{key}"
    dml = text(f"{head} WHERE {where} BETWEEN :first AND :last{tail}", "first", "last")
    some, order = f"SELECT {key} FROM {found['table']}", f"ORDER BY {key} LIMIT 1000"
    return [
        "bind = op.get_bind()",
        f"keys = bind.scalars(sa.text({text(f'{some} {order}')})).all()",
        "while keys:",
        '    chunk = {"first": keys[0], "last": keys[-1]}',
        f"    bind.execute(sa.text({dml}), chunk)",
        f"    after = sa.text({text(f'{some} WHERE {key} > :last {order}', 'last')})",
        '    keys = bind.scalars(after, {"last": keys[-1]}).all()',
    ]


def _split(sql: str) -> tuple[str, str, str]:
    """The parts of a statement: before WHERE, the condition, and from RETURNING on."""
    depth, at = 0, {"WHERE": len(sql), "RETURNING": len(sql)}
    for token in _CLAUSE.finditer(sql):
        depth += (token[0] == "(") - (token[0] == ")")
        if token["word"] and not depth:
            at[token["word"].upper()] = token.start()
    where, returning = min(at["WHERE"], at["RETURNING"]), at["RETURNING"]
    return sql[:where].rstrip(), sql[where + 5 : returning].strip(), f" {sql[returning:]}".rstrip()
