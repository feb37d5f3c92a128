"""Fixtures of the tests of pages: a real browser, and pages whose scripts may have no faults."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from helpers.waiting import SOON_S


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium; Playwright downloads none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "getuid") and os.getuid() == 0
    with sync_playwright() as play:
        started = play.chromium.launch(
            executable_path=program,
            args=["--no-sandbox"] if root else [],
            timeout=SOON_S * 1000,
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address with settings of the browser's; a fault in scripts fails the test.

    So does a breach of the page's policy. Answers that refuse a request are no fault of scripts.
    """
    contexts, faults = [], []

    def open_(address: str, **settings: Any) -> Any:
        contexts.append(browser.new_context(**settings))
        contexts[-1].set_default_timeout(SOON_S * 1000)
        opened = contexts[-1].new_page()
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
        opened.goto(address)
        opened.wait_for_url(lambda url: "token" not in url)
        return opened

    yield open_
    for context in contexts:
        context.close()
    assert faults == []


def wait_until_drawn(page: Any) -> None:
    """Pages draw what has changed before the browser's next frame."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def is_fault(said: Any) -> bool:
    return said.type == "error" and "server responded with a status of 4" not in said.text
