"""A browser, and a store to look at. Both start once for the module that asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, sync_playwright

from tests.integration.store.page.running_store import RunningStore
from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.unavailable import PartUnavailableError

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE = 60_000
"""Milliseconds that a browser waits for what it is to see."""


def chromium() -> str:
    """The program.

    Raises:
        PartUnavailableError: there is none.
    """
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        looked_for = ", ".join(_PROGRAMS)
        raise PartUnavailableError(f"no browser: none of {looked_for} is installed (Debian: apt-get install chromium)")
    return program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a Chromium; where there is none, skip at a desk, and fail where ``CI`` is set."""
    reason = None
    try:
        program = chromium()
    except PartUnavailableError as error:
        program, reason = "", str(error)
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Root needs --no-sandbox; the only pages that are opened are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def kafka(embedded_broker: EmbeddedBroker) -> KafkaSettings:
    """Return settings of topics that are new and empty."""
    return settings_with_new_topics(embedded_broker.bootstrap_servers, topic_partitions=1)


@pytest.fixture(scope="module")
def store(kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """Yield a store that wants keys."""
    with RunningStore(kafka, tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def key(store: RunningStore) -> str:
    """Return a key that sees everybody's."""
    return store.new_key("dashboard")


Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, store: RunningStore) -> Iterator[Opener]:
    """Yield a function that opens the store in a browser that knows nothing yet.

    The test fails where a page's script raised, where the policy refused something that a page of ours wanted, or where
    anything was asked of another host.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def opened(path: str = "/", *, key: str | None = None, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(
            base_url=store.url, viewport={"width": width, "height": 800}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        watch(page, store.url, problems)
        page.goto(path)
        if key is not None:
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Sign in").click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def watch(page: Page, url: str, problems: list[str]) -> None:
    """Note what must not happen on a page of a store at ``url``."""

    def asked(request: Request) -> None:
        if not request.url.startswith(url):
            problems.append(f"asked of others: {request.url}")

    def said(message: ConsoleMessage) -> None:
        if _is_policy(message.text):
            problems.append(message.text)

    def opened(dialog: Dialog) -> None:
        problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", asked)
    page.on("console", said)
    page.on("dialog", opened)
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))


def _is_policy(text: str) -> bool:
    return "Content Security Policy" in text or "Content-Security-Policy" in text
