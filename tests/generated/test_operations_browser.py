"""An operator signs in to /operations with a browser, on each size and in light and dark.

The test makes the data: a running backfill, a contract that waits for it, a drift.
"""

from __future__ import annotations

import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
import requests
from axe import axe_source, violations
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as EC
from selenium.webdriver.support.wait import WebDriverWait
from serving import ADMIN_KEY, Service, running, serving, wait_until

from tools.services import CACHE, ServiceEnvironment

pytestmark = pytest.mark.thorough

SECONDS = 60
SIZES = {"phone": (390, 844), "desktop": (1200, 900)}
PICTURES = CACHE / "pictures"
ROWS = 5000
HEAD = """\"\"\"{name}.\"\"\"

import sqlalchemy as sa
from alembic import op
from my_service.migrate import Backfill

revision = "{revision}"
down_revision = "{after}"
{extra}

def upgrade() -> None:
    {up}


def downgrade() -> None:
    pass
"""
TABLE = (
    'op.create_table("visits", sa.Column("id", sa.Integer, primary_key=True),'
    ' sa.Column("place", sa.Text), sa.Column("town", sa.Text))\n    '
    'op.execute("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c'
    f" WHERE x < {ROWS}) INSERT INTO visits (id, place) SELECT x, 'here' FROM c\")"
)
FILL = 'phase = "backfill"\nbackfill = Backfill(table="visits", set={"town": "place"})\n'
# Prevents the page from reloading itself in the middle of a check.
STAY = "const later = setTimeout; window.setTimeout = (act, ms) => ms < 9000 ? later(act, ms) : 0"


@pytest.fixture
def open_browser(tmp_path: Path) -> Iterator[Callable[[], webdriver.Chrome]]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("There is no browser: apt install chromium chromium-driver")
    opened: list[webdriver.Chrome] = []

    def start() -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        opened.append(webdriver.Chrome(options, webdriver.ChromeService(driver)))
        opened[-1].set_script_timeout(SECONDS)
        opened[-1].execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STAY})
        return opened[-1]

    yield start
    for browser in opened:
        browser.quit()


class Scene:
    """A separate service with migrations: one is a backfill, the last is a contract."""

    def __init__(self, project: Path, environment: ServiceEnvironment, folder: Path) -> None:
        self.python, self.folder = environment.python, folder
        self.address = f"sqlite:///{folder / 'scene.db'}"
        self.variables = {**environment.variables(project), "DATABASE_URL": self.address}
        versions = project / "src" / "my_service" / "migrations" / "versions"
        contract = 'phase = "contract"\n'
        for revision, name, up, extra in (
            ("003", "visits", TABLE, ""),
            ("004", "fill_town", "pass", FILL),
            ("005", "drop_place", 'op.drop_column("visits", "place")', contract),
        ):
            file = versions / f"{revision}_{name}.py"
            after = f"{int(revision) - 1:03}"
            text = HEAD.format(name=name, revision=revision, after=after, up=up, extra=extra)
            file.write_text(text, encoding="utf-8")

    def migrating(self) -> AbstractContextManager[Path]:
        """Start ``migrate latest``, which pauses after each chunk of the backfill."""
        command = [str(self.python), "-m", "my_service", "migrate", "latest"]
        return running(command, self.folder, {**self.variables, "MIGRATION_BACKFILL_PAUSE": "3600"})

    def serving(self) -> AbstractContextManager[Service]:
        """The service, which finds the contract held back when it starts."""
        return serving(self.python, self.variables, self.folder / "service", self.address)

    def ask(self, statement: str) -> list[Any]:
        """Run a statement, and commit."""
        with closing(connect(self.address.removeprefix("sqlite:///"))) as database, database:
            return database.execute(statement).fetchall()

    @property
    def done(self) -> int:
        """The number of finished rows of the backfill."""
        if not self.ask("SELECT 1 FROM sqlite_schema WHERE name = 'migration_progress'"):
            return 0
        return sum(done for (done,) in self.ask("SELECT done FROM migration_progress"))


@pytest.fixture
def scene(project: Any, service_environment: ServiceEnvironment, tmp_path: Path) -> Iterator[Scene]:
    """With the first chunk of rows filled, by a process that still runs."""
    (tmp_path / "service").mkdir()
    folder = project(database="sqlite")
    made = Scene(folder, service_environment, tmp_path)
    up = ("-m", "my_service", "migrate", "up")
    service_environment.succeed(folder, *up, DATABASE_URL=made.address)
    with made.migrating() as log:
        wait_until(lambda: made.done > 0, log)
        yield made


def test_an_operator_signs_in_and_sees_backfill_contract_drift_and_runs(
    open_browser: Callable[[], webdriver.Chrome], scene: Scene
) -> None:
    axe = axe_source()
    with scene.serving() as service:
        browser = open_browser()
        sign_in(browser, service, "wrong")
        shown = WebDriverWait(browser, SECONDS)
        shown.until(EC.text_to_be_present_in_element((By.TAG_NAME, "main"), "key is wrong"))
        assert violations(browser, axe) == []
        sign_in(browser, service, ADMIN_KEY)
        shown.until(EC.text_to_be_present_in_element((By.TAG_NAME, "h2"), "Held back"))
        scene.ask("CREATE TABLE strange (id integer)")
        browser.find_element(By.XPATH, "//button[.='Compare now']").click()
        shown.until(EC.text_to_be_present_in_element((By.ID, "drift-said"), "1 difference"))
        check_page_content(browser, scene.done)
        check_accessibility(browser, axe)
        check_json_and_metrics(service, scene.done)
        browser.find_element(By.XPATH, "//button[.='Sign out']").click()
        shown.until(EC.presence_of_element_located((By.NAME, "key")))
        browser.get(f"{service.address}/operations")
        assert browser.find_elements(By.NAME, "key")
        messages = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in messages if "Content Security" in line["message"]]


def check_page_content(browser: webdriver.Chrome, done: int) -> None:
    """The page shows the contract, the backfill, the drift and the runs."""
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "1 migration is held back; 1 backfill is not finished." in text
    assert "005_drop_place" in text and "table strange is there" in text
    assert f"the backfill of visits: {done} of {ROWS} rows" in text
    assert {table.accessible_name for table in browser.find_elements(By.TAG_NAME, "table")} == {
        "Unfinished backfills",
        "Serving processes",
        "Differences",
        "Newest runs first",
        "Duration of each applied migration",
    }
    drawn = [one.accessible_name for one in browser.find_elements(By.TAG_NAME, "svg")]
    assert drawn[0] == f"the backfill of visits: {done} of {ROWS} rows" and all(drawn)
    assert drawn[1].startswith("Seconds of the last 2 runs, oldest first: ")


def check_json_and_metrics(service: Service, done: int) -> None:
    """JSON and metrics show the backfill too."""
    read = requests.get(
        f"{service.address}/operations/backfills", headers={"X-Admin-Key": ADMIN_KEY}, timeout=20
    ).json()
    (item,) = read["items"]
    assert (item["migration"], item["done"], item["total"]) == ("004_fill_town", done, ROWS)
    lines = requests.get(f"{service.address}/metrics", timeout=20).text.splitlines()
    rows = {"done": done, "left": ROWS - done}
    assert {f'backfill_rows{{state="{state}"}} {rows[state]:.1f}' for state in rows} < set(lines)


def sign_in(browser: webdriver.Chrome, service: Service, key: str) -> None:
    """Fill in the form, and send it."""
    if "/operations" not in browser.current_url:
        browser.get(f"{service.address}/operations")
    browser.find_element(By.NAME, "key").send_keys(key)
    browser.find_element(By.TAG_NAME, "button").click()


def check_accessibility(browser: webdriver.Chrome, axe: str) -> None:
    """axe-core finds nothing at any size and in any theme; pictures of each are kept."""
    PICTURES.mkdir(exist_ok=True)
    for size, (width, height) in SIZES.items():
        for theme in ("light", "dark"):
            set_size_and_theme(browser, width, height, theme)
            whole = browser.execute_cdp_cmd(
                "Page.captureScreenshot", {"captureBeyondViewport": True}
            )
            picture = PICTURES / f"operations-{size}-{theme}.png"
            picture.write_bytes(b64decode(whole["data"]))
            assert violations(browser, axe) == [], (size, theme)
            assert not is_wider_than_the_window(browser), size


def set_size_and_theme(browser: webdriver.Chrome, width: int, height: int, theme: str) -> None:
    """Change the window's size and the theme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def is_wider_than_the_window(browser: webdriver.Chrome) -> bool:
    """Whether the page needs horizontal scrolling."""
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    page, window = browser.execute_script(widths)
    return bool(page > window)
