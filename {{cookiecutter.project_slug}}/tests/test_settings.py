"""Settings are documented, and production refuses unsafe ones."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.settings import Settings, load_settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"
STRONG = "W3q-0vTz9kX_rN5bHf7sLc2yUe8mJd4pGa6"


def test_env_example_lists_every_setting_and_no_other() -> None:
    named = set(
        re.findall(r"^# ([A-Z][A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "secret", [None, "short", "a" * 64, "please-change-me-please-change-me-0123", "password" * 8]
)
def test_production_refuses_a_missing_or_weak_secret(
    secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    if secret is not None:
        monkeypatch.setenv("JWT_SECRET", secret)
    with pytest.raises(ActionableError, match="JWT_SECRET"):
        load_settings()


def test_metrics_port_must_differ_from_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9090")
    monkeypatch.setenv("METRICS_PORT", "9090")
    with pytest.raises(ActionableError, match="METRICS_PORT is the same as PORT") as refused:
        load_settings()
    assert refused.value.code == "settings-invalid"


def test_production_requires_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", STRONG)
    with pytest.raises(ActionableError, match="DATABASE_URL"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ADMIN_KEY", "short"),
        ("CORS_ORIGINS", "https://app.example.com, *"),
        ("FRONTEND_URL", "http://app.example.com"),
        ("MAIL_FROM", None),
        ("SMTP_HOST", None),
    ],
)
def test_production_refuses_unsafe_account_settings(
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {
        "ENVIRONMENT": "production",
        "JWT_SECRET": STRONG,
        "ADMIN_KEY": STRONG,
        "FRONTEND_URL": "https://app.example.com",
        "MAIL_FROM": "service@example.com",
        "SMTP_HOST": "mail.example.com",
    }
    for variable, sound in {**good, name: value}.items():
        if sound is not None:
            monkeypatch.setenv(variable, sound)
    with pytest.raises(ActionableError, match=name):
        load_settings()


def test_an_infinite_time_is_refused_with_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = [name for name, field in Settings.model_fields.items() if field.annotation is float]
    assert "migration_lock_timeout" in times
    for name in times:
        with monkeypatch.context() as patch:
            patch.setenv(name.upper(), "inf")
            with pytest.raises(ActionableError, match=name.upper()):
                load_settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DB_POOL_MIN", "11", "DB_POOL_MIN is larger than DB_POOL_MAX"),
        ("RATE_LIMIT_MAILS", "often", "RATE_LIMIT_MAILS"),
    ],
)
def test_inconsistent_settings_are_refused_at_the_start(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ActionableError, match=message):
        load_settings()


@pytest.mark.parametrize("address", ["sqlite://", "postgresql://postgres:postgres@localhost/app"])
def test_production_refuses_an_in_memory_database_and_a_default_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", STRONG)
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(ActionableError, match=r"DATABASE_URL|password"):
        load_settings(serving=False)


@pytest.mark.parametrize(
    ("changed", "runs"),
    [
        ({}, False),
        ({"environment": "production"}, True),
        ({"environment": "production", "auto_migrate": False}, False),
        ({"environment": "production", "auto_contract": False}, False),
        ({"auto_contract": True}, True),
    ],
)
def test_running_instances_apply_contracts_by_default_only_in_production(
    changed: dict[str, Any], runs: bool
) -> None:
    assert Settings(_env_file=None).model_copy(update=changed).runs_contracts is runs


def test_a_list_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "api.example.com, *.example.com")
    assert load_settings().hosts == ("api.example.com", "*.example.com")


def test_an_address_of_an_unsupported_database_is_refused() -> None:
    settings = Settings(_env_file=None, database_url=SecretStr("mysql://root@localhost/app"))
    with pytest.raises(ActionableError, match="address"):
        connect(settings)


def test_an_invalid_value_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DB_POOL_MAX", "hunter2")
    with pytest.raises(ActionableError, match="DB_POOL_MAX") as refusal:
        load_settings()
    assert "hunter2" not in str(refusal.value)


def test_development_reads_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DB_POOL_MAX=7\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_settings().db_pool_max == 7
    monkeypatch.setenv("ENVIRONMENT", "test")
    assert load_settings().db_pool_max == 10


def signing_key() -> str:
    """The key of a process that starts now."""
    return load_settings().signing_key.get_secret_value()


def test_development_stores_the_signing_key_and_reuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = signing_key()
    assert len(key) >= 32
    assert signing_key() == key
    kept = tmp_path / "data" / "jwt_secret"
    assert kept.stat().st_mode & 0o077 == 0 or os.name == "nt"
    kept.write_text("short", encoding="ascii")
    assert len(signing_key()) >= 32
    monkeypatch.setenv("JWT_SECRET", STRONG)
    assert signing_key() == STRONG


def test_a_signing_key_that_cannot_be_stored_lasts_for_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("no folder", encoding="ascii")
    settings = load_settings()
    assert settings.signing_key is settings.signing_key
    assert signing_key() != signing_key()


def test_the_test_environment_stores_no_signing_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "test")
    assert signing_key() != signing_key()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("db.example.com", "http://db.example.com:9000"),
    ],
)
def test_mailed_links_use_the_address_of_the_service_without_frontend_url(
    host: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_HOST", host)
    monkeypatch.setenv("PORT", "9000")
    assert load_settings().frontend == address
    monkeypatch.setenv("FRONTEND_URL", "https://app.example.com/")
    assert load_settings().frontend == "https://app.example.com"
