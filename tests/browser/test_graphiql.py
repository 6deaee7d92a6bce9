"""GraphiQL in a real browser that can reach nothing but this machine."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness import PASSWORD, ROOT, Sandbox, server_process

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OFFLINE = (
    # Every name but this machine's leads nowhere, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: GraphiQL was not seen in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(OFFLINE)
        )
        yield browser
        browser.close()


class Visit:
    """A page with everything that it asked for and everything that it complained of."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def open(self) -> None:
        self.page.goto(f"{self.url}/graphql")
        expect(self.page.locator(".graphiql-query-editor")).to_be_visible()

    def sign_in(self, password: str = PASSWORD) -> None:
        self.page.fill("#email", "first@example.com")
        self.page.fill("#password", password)
        self.page.click("#sign-in-button")

    def run(self) -> str:
        self.page.click(".graphiql-execute-button")
        result = self.page.locator(".result-window .CodeMirror")
        expect(result).to_contain_text('"data"')
        text = result.evaluate("element => element.CodeMirror.getValue()")
        return str(text)


@pytest.fixture
def visit(browser: Browser, sandbox: Sandbox) -> Iterator[Visit]:
    with server_process(sandbox) as url:
        context = browser.new_context(viewport={"width": 1360, "height": 860})
        page = context.new_page()
        page.set_default_timeout(20_000)
        yield Visit(page, url)
        context.close()


def test_a_newcomer_signs_in_and_runs_the_readme_query_offline(visit: Visit) -> None:
    visit.open()
    visit.sign_in()
    expect(visit.page.locator("#viewer")).to_have_text(re.compile("first"))
    editor = visit.page.locator(".graphiql-query-editor .CodeMirror")
    editor.evaluate("(element, text) => element.CodeMirror.setValue(text)", query())
    answer = visit.run()
    assert '"errors"' not in answer
    for key in ("title", "username", "previewUrl", "body"):
        assert f'"{key}": "' in answer
    keep_picture(visit.page)
    visit.page.click("#sign-out-button")
    expect(visit.page.locator("#sign-in")).to_be_visible()
    assert {url.split("/")[2] for url in visit.asked if "://" in url} == {
        visit.url.removeprefix("http://")
    }
    assert visit.complaints == []


def test_a_wrong_password_is_said_in_words(visit: Visit) -> None:
    visit.open()
    visit.sign_in("wrong-password")
    expect(visit.page.locator("#message")).to_be_visible()
    expect(visit.page.locator("#message")).to_have_text(re.compile("password", re.I))
    expect(visit.page.locator("#signed-in")).to_be_hidden()


def test_the_page_holds_no_token_that_a_script_could_read(visit: Visit) -> None:
    visit.open()
    visit.sign_in()
    expect(visit.page.locator("#viewer")).to_have_text(re.compile("first"))
    seen = visit.page.evaluate(
        "() => document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
        " + document.documentElement.outerHTML"
    )
    assert "Fe26.2" not in seen
    assert "eyJ" not in seen
    assert PASSWORD not in seen


def query() -> str:
    """The README's first GraphQL block."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"```graphql\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def keep_picture(page: Page) -> None:
    """Where PICTURE says so, for the README."""
    if path := os.environ.get("PICTURE"):
        page.screenshot(path=Path(path))
