"""An operator signs in to /operations with a browser, on each size and in light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as EC
from selenium.webdriver.support.wait import WebDriverWait
from serving import ADMIN_KEY, Serve, Service

pytestmark = pytest.mark.thorough

SECONDS = 20
SIZES = {"phone": (390, 844), "desktop": (1200, 900)}
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3

# The lowest contrast of a text with what lies behind it, of all texts of the page.
CONTRAST = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number)
const light = (colour) => {
  const [r, g, b] = parts(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const canvas = document.createElement("div")
canvas.style.setProperty("background-color", "Canvas")
document.body.append(canvas)
const page = getComputedStyle(canvas).backgroundColor
canvas.remove()
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor
    if ((parts(colour)[3] ?? 1) > 0) return colour
  }
  return page
}
const texts = [...document.body.querySelectorAll("*")].filter((element) =>
  [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
return Math.min(...texts.map((element) => {
  const [one, other] = [getComputedStyle(element).color, behind(element)].map(light)
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
}))
"""


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
        return opened[-1]

    yield start
    for browser in opened:
        browser.quit()


def test_an_operator_signs_in_and_sees_what_is_wrong(
    open_browser: Callable[[], webdriver.Chrome],
    serve: Serve,
    empty_database: Any,
    tmp_path: Path,
) -> None:
    address = empty_database("sqlite")
    with serve("sqlite", address) as service:
        undo_the_newest(address)
        browser = open_browser()
        sign_in(browser, service, "wrong")
        shown = WebDriverWait(browser, SECONDS)
        shown.until(EC.text_to_be_present_in_element((By.TAG_NAME, "main"), "not the key"))
        assert not [line for line in log(browser) if "Content Security" in line["message"]]
        sign_in(browser, service, ADMIN_KEY)
        shown.until(EC.text_to_be_present_in_element((By.TAG_NAME, "h2"), "Pending"))
        check_the_looks(browser, tmp_path, "pending")
        text = browser.find_element(By.TAG_NAME, "body").text
        assert "1 migration is pending." in text and "002_create_tokens_table" in text
        assert {table.find_element(By.TAG_NAME, "caption").text for table in tables(browser)} == {
            "Processes that serve",
            "The newest runs, newest first",
            "How long each applied migration took",
        }
        make_strange_table(address)
        browser.find_element(By.XPATH, "//button[.='Compare now']").click()
        shown.until(EC.text_to_be_present_in_element((By.TAG_NAME, "main"), "table strange is"))
        check_the_looks(browser, tmp_path, "drift")
        browser.find_element(By.XPATH, "//button[.='Sign out']").click()
        shown.until(EC.presence_of_element_located((By.NAME, "key")))
        browser.get(f"{service.address}/operations")
        assert browser.find_elements(By.NAME, "key")
    assert not [line for line in log(browser) if "Content Security" in line["message"]]


def undo_the_newest(address: str) -> None:
    """What ``migrate down`` leaves in the two tables, so that one is pending."""
    with closing(connect(address.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '001'")
        database.execute(
            "UPDATE migration_history SET rolled_back_at = started_at WHERE revision = '002'"
        )


def make_strange_table(address: str) -> None:
    """One that no migration makes."""
    with closing(connect(address.removeprefix("sqlite:///"))) as database, database:
        database.execute("CREATE TABLE strange (id integer)")


def sign_in(browser: webdriver.Chrome, service: Service, key: str) -> None:
    """Fill in the form, and send it."""
    if "/operations" not in browser.current_url:
        browser.get(f"{service.address}/operations")
    browser.find_element(By.NAME, "key").send_keys(key)
    browser.find_element(By.TAG_NAME, "button").click()


def check_the_looks(browser: webdriver.Chrome, folder: Path, name: str) -> None:
    """The page can be read on each size and in each theme; pictures of it are kept."""
    for size, (width, height) in SIZES.items():
        for theme in ("light", "dark"):
            look_at(browser, width, height, theme)
            browser.save_screenshot(str(folder / f"{name}-{size}-{theme}.png"))
            assert browser.execute_script(CONTRAST) >= LEAST_CONTRAST, (size, theme)
            assert not is_wider_than_the_window(browser), size


def look_at(browser: webdriver.Chrome, width: int, height: int, theme: str) -> None:
    """Take another window and another theme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def is_wider_than_the_window(browser: webdriver.Chrome) -> bool:
    """Whether the page must be moved sideways to be read."""
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    page, window = browser.execute_script(widths)
    return bool(page > window)


def tables(browser: webdriver.Chrome) -> list[Any]:
    """The page's tables."""
    return browser.find_elements(By.TAG_NAME, "table")


def log(browser: webdriver.Chrome) -> list[dict[str, str]]:
    """What the browser complained of since the last look."""
    return browser.get_log("browser")  # type: ignore[no-any-return, no-untyped-call]
