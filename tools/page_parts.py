"""Writes the parts of the documentation that are derived from a service's code.

It runs inside a generated service, with that service's interpreter:

    python tools/page_parts.py <package> <slug> <database> <folder>

and writes ``settings.<database>.md``, ``er.<database>.md``, ``tables.<database>.md``,
``errors.<database>.md``, ``lint.<database>.md``, ``http_errors.<database>.md`` and
``env.<database>.txt``, which the service's pages and its ``.env.example`` include.
``make update`` runs it for every database.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any


def main(package: str, slug: str, database: str, folder: str) -> None:
    """Write all parts."""
    metadata = import_module(f"{package}.migrations").load_metadata()
    dialect = import_module(f"sqlalchemy.dialects.{database.partition('-')[0]}").dialect()
    catalogue = import_module(f"{package}.web.error_catalogue").read_catalogue()
    model = import_module(f"{package}.settings").Settings
    parts = {
        "settings": settings(model),
        "env": example(model),
        "er": diagram(metadata, dialect),
        "tables": tables(metadata, dialect),
        "errors": errors(entry for entry in catalogue if not entry.status),
        "lint": lint_codes(
            import_module(f"{package}.migrate.lint").RULES,
            import_module(f"{package}.migrate.lint.judge").WORDS,
        ),
        "http_errors": http_errors(entry for entry in catalogue if entry.status),
    }
    for name, lines in parts.items():
        text = "\n".join(lines)
        text = text.replace(package, "{{ cookiecutter.package_name }}")
        text = text.replace(slug, "{{ cookiecutter.project_slug }}")
        path = Path(folder) / f"{name}.{database}.{'txt' if name == 'env' else 'md'}"
        path.write_text(text + "\n", encoding="utf-8", newline="\n")


# -- Settings ------------------------------------------------------------------------------------


def settings(model: Any) -> Iterator[str]:
    """A row for each environment variable: name, meaning, default."""
    yield "| Variable | Meaning | Default |"
    yield "| --- | --- | --- |"
    for name, field in model.model_fields.items():
        yield f"| `{name.upper()}` | {field.description} | {shown(field.default)} |"


def example(model: Any) -> Iterator[str]:
    """Each variable with its meaning and its default, under the name of its part."""
    for part in reversed(model.__mro__):
        names = [
            name for name in vars(part).get("__annotations__", ()) if name in model.model_fields
        ]
        if not names:
            continue
        yield ""
        yield f"# --- {str(part.__doc__).splitlines()[0].rstrip('.')} ---"
        for name in names:
            field = model.model_fields[name]
            yield from textwrap.wrap(
                field.description, 100, initial_indent="# ", subsequent_indent="# "
            )
            yield f"# {name.upper()}={shown(field.default).strip('`')}"


def shown(default: Any) -> str:
    """A default in the form for the environment; empty if there is none."""
    if hasattr(default, "get_secret_value"):
        default = default.get_secret_value()
    if default is None or default == () or default == "":
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


# -- Errors --------------------------------------------------------------------------------------


# The order of the errors in the guide.
PACKAGES = ("migrate", "database", "settings", "cli")


def errors(entries: Iterator[Any]) -> Iterator[str]:
    """The errors of the terminal and the log, each with its code as the anchor."""
    for section, group in groupby(sorted(entries, key=place), lambda entry: entry.section):
        yield f"### {section}"
        yield ""
        for entry in group:
            yield f"#### {entry.code}"
            yield ""
            yield f"`{one_line(entry.problem)}`"
            yield ""
            yield f"- Impact: {one_line(entry.impact)}"
            yield f"- Solution: {one_line(entry.solution)}"
            yield f"- Cause and solution: {entry.cause_and_cure}"
            yield ""


def http_errors(entries: Iterator[Any]) -> Iterator[str]:
    """A row for each error that answers a request: status, code, problem."""
    yield "| Status | `code` | Problem |"
    yield "| --- | --- | --- |"
    for entry in sorted(entries, key=lambda entry: (entry.status, entry.code)):
        yield f"| {entry.status} | `{entry.code}` | {one_line(entry.problem)} |"


# -- Linting -------------------------------------------------------------------------------------


def lint_codes(rules: Any, others: Any) -> Iterator[str]:
    """Each code of a finding: its title, why it hurts, what to do instead."""
    for rule in sorted(rules, key=lambda rule: rule.code):
        yield from (f"##### {rule.code}", "", f"{rule.title}. {rule.why}", "")
        yield f"- Instead: {rule.instead}"
        if rule.contract:
            yield '- If the file says `phase = "contract"`, it is only a notice.'
        yield ""
    for code, (why, instead) in others.items():
        yield from (f"##### {code}", "", why, "", f"- {instead}", "")


def place(entry: Any) -> tuple[int, str]:
    """The position of an error's package in the guide; unknown ones come last."""
    package = entry.package.partition("/")[0]
    return (PACKAGES.index(package) if package in PACKAGES else len(PACKAGES), entry.package)


def one_line(text: str) -> str:
    """A text of several lines in one line, for a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


# -- Models --------------------------------------------------------------------------------------


def diagram(metadata: Any, dialect: Any) -> Iterator[str]:
    """The models as a Mermaid diagram: tables, columns, keys and references."""
    yield "```mermaid"
    yield "erDiagram"
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda key: str(key.parent.name)):
            yield f"    {key.column.table.name} ||--o{{ {table.name} : {key.parent.name}"
        yield f"    {table.name} {{"
        for column in table.columns:
            kind = column_type(column, dialect).split("(")[0].replace(" ", "_").lower()
            yield f"        {kind} {column.name}{keys_of(table, column)}"
        yield "    }"
    yield "```"


def keys_of(table: Any, column: Any) -> str:
    """Mermaid's PK, FK and UK."""
    unique = column.unique or any(
        index.unique and [c.name for c in index.columns] == [column.name] for index in table.indexes
    )
    kinds = {"PK": column.primary_key, "FK": bool(column.foreign_keys), "UK": bool(unique)}
    found = ", ".join(kind for kind, is_so in kinds.items() if is_so)
    return f" {found}" if found else ""


def tables(metadata: Any, dialect: Any) -> Iterator[str]:
    """Columns and indexes of every table."""
    for place, table in enumerate(
        sorted(metadata.sorted_tables, key=lambda table: table.key)[::-1]
    ):
        if place:
            yield ""
        yield f"| `{table.key}` | Type | Null | Default |"
        yield "| --- | --- | --- | --- |"
        for column in table.columns:
            null = "yes" if column.nullable else "no"
            kind = column_type(column, dialect).lower()
            yield f"| `{column.name}` | {kind} | {null} | {server_default(column, dialect)} |"
        yield ""
        yield "Indexes: " + ", ".join(indexes(table)) + "."


def column_type(column: Any, dialect: Any) -> str:
    """A column's type in this database."""
    kind = column.type.compile(dialect=dialect)
    return str(kind)


def server_default(column: Any, dialect: Any) -> str:
    """The column's default in the database."""
    if column.server_default is None:
        return ""
    default = column.server_default.arg
    sql = default if isinstance(default, str) else default.compile(dialect=dialect)
    return f"`{sql}`"


def indexes(table: Any) -> Iterator[str]:
    """The primary key, and each index by name with its columns."""
    keys = [
        (constraint.name, [column.name for column in constraint.columns], "primary key")
        for constraint in [table.primary_key]
    ]
    found = [
        (index.name, [column.name for column in index.columns], "unique" if index.unique else "")
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    for column in table.columns:
        if column.unique:
            found.append((f"{table.name}_{column.name}_key", [column.name], "unique"))
    for name, columns, kind in [*keys, *found]:
        names = ", ".join([*columns, *([kind] if kind else [])])
        yield f"`{name or f'{table.name}_pkey'}` ({names})"


if __name__ == "__main__":
    main(*sys.argv[1:])
