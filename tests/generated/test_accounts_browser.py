"""A user registers, signs in and reads their own account through /docs, without the internet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as EC
from selenium.webdriver.support.wait import WebDriverWait
from serving import PASSWORD, Serve

pytestmark = pytest.mark.thorough

SECONDS = 20
EMAIL = "ada@example.com"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("There is no browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,3000",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


class Docs:
    """The page, as people use it."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        self.wait = WebDriverWait(browser, SECONDS)
        browser.get(f"{address}/docs")

    def find(self, css: str, within: WebElement | None = None) -> WebElement:
        """The first visible element, as soon as there is one."""

        def seen(_: object) -> WebElement | None:
            found = (within or self.browser).find_elements(By.CSS_SELECTOR, css)
            return next((element for element in found if element.is_displayed()), None)

        return self.wait.until(seen)  # type: ignore[return-value]

    def try_out(self, tag: str, path: str, body: str = "") -> str:
        """Send a request; return the answer's text."""
        found = f"div[id^='operations-{tag}-'] [data-path='{path}']"
        block = self.find(found).find_element(By.XPATH, "./ancestor::div[@id][1]")
        self.find(".opblock-summary-control", block).click()
        self.find(".try-out__btn", block).click()
        if body:
            area = self.find("textarea", block)
            area.clear()
            area.send_keys(body)
        self.find(".execute", block).click()
        return self.find(".live-responses-table .response", block).text

    def authorize(self, email: str, password: str) -> None:
        """Sign in by the Authorize button."""
        self.find(".auth-wrapper .authorize").click()
        dialog = self.find(".modal-ux")
        self.find("#oauth_username", dialog).send_keys(email)
        self.find("#oauth_password", dialog).send_keys(password)
        self.find("button.authorize", dialog).click()
        self.wait.until(lambda _: "Logout" in dialog.text)
        self.find(".btn-done", dialog).click()


def test_a_user_registers_signs_in_and_reads_the_profile_in_the_api_page(
    browser: webdriver.Chrome, serve: Serve, empty_database: Any
) -> None:
    with serve("sqlite", empty_database("sqlite")) as service:
        docs = Docs(browser, service.address)
        new = f'{{"email": "{EMAIL}", "password": "{PASSWORD}", "name": "Ada"}}'
        assert "201" in docs.try_out("auth", "/auth/register", new)
        service.confirm(EMAIL)
        docs.authorize(EMAIL, PASSWORD)
        answer = docs.try_out("users", "/users/me")
    assert "200" in answer and EMAIL in answer
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [line for line in log if line["level"] == "SEVERE"] == []


def test_mailed_links_work_in_development(
    browser: webdriver.Chrome, serve: Serve, empty_database: Any
) -> None:
    with serve("postgresql-multi-tenant", empty_database("postgresql-multi-tenant")) as service:
        acme = service.with_tenant("acme")
        acme.register(EMAIL)
        wait = WebDriverWait(browser, SECONDS)
        assert follow_mail(browser, service.address, "Confirm") == "/verify-email"
        browser.find_element(By.NAME, "password").send_keys(PASSWORD)
        browser.find_element(By.TAG_NAME, "button").click()
        wait.until(EC.text_to_be_present_in_element((By.TAG_NAME, "output"), "is confirmed"))
        acme.post("/auth/request-password-reset", email=EMAIL)
        wait.until(lambda _: len(acme.links(EMAIL)) == 2)
        assert follow_mail(browser, service.address, "new password") == "/reset-password"
        for password, answer in (("short", "is shorter than"), (f"{PASSWORD}!", "is changed")):
            field = browser.find_element(By.NAME, "password")
            field.clear()
            field.send_keys(password)
            browser.find_element(By.TAG_NAME, "button").click()
            wait.until(EC.text_to_be_present_in_element((By.TAG_NAME, "output"), answer))
        assert acme.post("/auth/login", email=EMAIL, password=f"{PASSWORD}!").status_code == 200
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in log if "Content Security Policy" in line["message"]]


def follow_mail(browser: webdriver.Chrome, address: str, subject: str) -> str:
    """Click a mail on the first page; return the path of the new page."""
    browser.get(address)
    browser.find_element(By.PARTIAL_LINK_TEXT, subject).click()
    return urlsplit(browser.current_url).path
