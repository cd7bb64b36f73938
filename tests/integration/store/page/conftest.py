"""A browser, and a store to look at. Both start once for the module that asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.integration.store.page.running_store import RunningStore
from workflow_events.settings import KafkaSettings
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE = 60_000
"""Milliseconds that a browser waits for what it is to see."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a Chromium; where there is none, skip at a desk, and fail where ``CI`` is set."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        reason = f"no browser: none of {', '.join(_PROGRAMS)} is installed (Debian: apt-get install chromium)"
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
    contexts, problems = [], []

    def opened(path: str = "/", *, key: str | None = None, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(
            base_url=store.url, viewport={"width": width, "height": 800}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("console", lambda said: problems.append(said.text) if _is_policy(said.text) else None)
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(store.url) else problems.append(f"asked of others: {asked.url}"),
        )
        page.goto(path)
        if key is not None:
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Sign in").click()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _is_policy(text: str) -> bool:
    return "Content Security Policy" in text or "Content-Security-Policy" in text


def path_of(page: Page) -> str:
    """The address without its host."""
    return "/" + page.url.split("/", 3)[3]
