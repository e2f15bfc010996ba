"""Logs are JSON in production and never show a secret."""

import json

import pytest
import structlog

from {{ cookiecutter.package_name }}.observability.logging import configure_logging


@pytest.fixture(autouse=True)
def _json_logs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", as_json=True)


def test_a_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.stdlib.get_logger("test").info("hello", answer=42)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["answer"], line["level"]) == ("hello", 42, "info")


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.stdlib.get_logger("test").info(
        "connecting to postgresql://user:hunter2@host/db", password="hunter2", jwt_token="hunter2"
    )
    assert "hunter2" not in capsys.readouterr().err


def test_what_a_client_sends_cannot_write_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=False)
    log = structlog.stdlib.get_logger("test")
    log.info("first\n2026 [info] forged", path="/\x1b[2J\x9b31m\u202e")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        log.exception("failed")
    said = capsys.readouterr().err
    assert not set("\x1b\x9b\u202e") & set(said)
    assert "first\\n2026" in said and "\\x1b[2J" in said
