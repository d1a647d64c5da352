# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page in Chromium: what it shows, that it asks nobody else, that it fits a phone, and that text stays text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from observed import Observed, block_result, served
from patience import PATIENCE
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from supervm.tiers.hardware import Hardware
from supervm.tiers.observability.routes import PAGE
from supervm.tiers.observability.status import State

FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync disable-dev-shm-usage"
)
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
DARK = [{"name": "prefers-color-scheme", "value": "dark"}]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a profile of its own, its console and its requests kept."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def observed() -> Observed:
    """A service that has worked, and executes blocks as well, so that every section has something to show."""
    one = Observed()
    one.board.become(State.READY)
    one.metrics.verified("ed25519", "ifma", np.array([1] * 90 + [0] * 6 + [-1] * 4, np.int8))
    one.metrics.request("Verify", "OK", 0.003)
    one.metrics.request("Verify", "RESOURCE_EXHAUSTED", 0.0001)
    one.metrics.queue("gather", lambda: 17)
    for height in (1, 2):
        one.block(block_result(height))
    return one


@pytest.fixture
def opened(browser: Any, observed: Observed) -> Iterator[Callable[..., str]]:
    """opened(width): the page at that width, when it shows the first answer; its address."""
    with served(observed) as address:

        def visit(width: int = 1200) -> str:
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            for kind in ("browser", "performance"):
                browser.get_log(kind)
            browser.get(address)
            until(browser, lambda: text(browser, "refreshed").startswith("Read at"))
            return address

        yield visit
        browser.get("about:blank")


def until(browser: Any, holds: Callable[[], bool]) -> None:
    WebDriverWait(browser, PATIENCE, 0.05).until(lambda _: holds())


def text(browser: Any, identity: str) -> str:
    found: str = browser.execute_script(f"return document.getElementById('{identity}').innerText")
    return found


def asked(browser: Any) -> list[str]:
    """The address of every request since the last question, but for those of Chromium's own pages."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and not event["params"]["documentURL"].startswith(("chrome:", "chrome-untrusted:"))
    ]


def test_values_appear_and_refresh(browser: Any, observed: Observed, opened: Callable[..., str]) -> None:
    address = opened()
    assert text(browser, "state") == "ready"
    assert "tier L3 edge" in text(browser, "facts")
    assert text(browser, "verified").split()[-5:] == ["ed25519", "ifma", "90", "6", "4"]
    assert "RESOURCE_EXHAUSTED 1" in text(browser, "requests")
    assert "gather 17" in " ".join(text(browser, "queues").split())
    assert "20.0 ms" in text(browser, "stages")
    assert [line.split()[0] for line in text(browser, "blocks").split("\n") if line[:1].isdigit()] == [
        "2",
        "1",
    ]
    assert not browser.find_element("id", "fallbacks").is_displayed()
    observed.metrics.verified("ed25519", "ifma", np.ones(1000, np.int8))
    observed.board.become(State.DRAINING)
    until(browser, lambda: text(browser, "state") == "draining")
    assert "1,090" in text(browser, "verified")
    until(browser, lambda: text(browser, "rate-items").split()[0] != "0")
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    requests = asked(browser)
    assert f"{address}/status.json" in requests
    assert {url for url in requests if not url.startswith((address, "data:"))} == set()


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_is_wider_than_the_window(browser: Any, opened: Callable[..., str], width: int) -> None:
    opened(width)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, .tile, section, #state')]"
        ".filter(node => node.getBoundingClientRect().right > innerWidth).map(node => node.id)"
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(browser: Any, opened: Callable[..., str], scheme: str) -> None:
    """WCAG 2: a contrast of 4.5 for text of this size."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": DARK if scheme == "dark" else []})
    opened()
    pairs = browser.execute_script(
        "const of = (node, what) => getComputedStyle(node)[what].match(/[0-9.]+/g).map(Number);"
        "const card = of(document.querySelector('section'), 'backgroundColor');"
        "const page = of(document.body, 'backgroundColor');"
        "return [[of(document.getElementById('facts'), 'color'), page],"
        " [of(document.getElementById('state'), 'color'), page],"
        " [of(document.querySelector('tbody th'), 'color'), card],"
        " [of(document.querySelector('thead th'), 'color'), card]]"
    )
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []
    assert (sum(pairs[0][1]) < 300) == (scheme == "dark")


def contrast(one: list[float], other: list[float]) -> float:
    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_hostile_text_is_shown_as_text(browser: Any, observed: Observed, opened: Callable[..., str]) -> None:
    observed.board.become(State.FAILING, HOSTILE)
    observed.metrics.verified(HOSTILE, HOSTILE, np.ones(3, np.int8))
    observed.metrics.request(HOSTILE, HOSTILE, 0.1)
    observed.metrics.stage(HOSTILE, 0.1)
    observed.metrics.queue(HOSTILE, lambda: 1)
    observed.block(block_result(3, way=HOSTILE))
    opened()
    for identity in ("state", "verified", "requests", "stages", "queues", "blocks"):
        assert HOSTILE in text(browser, identity), identity
    assert browser.title == "SuperVM"
    assert browser.execute_script("return document.querySelectorAll('img, main script').length") == 0


def test_a_machine_with_a_hostile_name(browser: Any) -> None:
    with served(Observed(Hardware(cores=1, memory=1, cpu=HOSTILE))) as address:
        browser.get(address)
        until(browser, lambda: HOSTILE in text(browser, "facts"))
        assert browser.title == "SuperVM"


def test_a_server_that_is_gone_is_said_to_be(browser: Any, observed: Observed) -> None:
    with served(observed) as address:
        browser.get(address)
        until(browser, lambda: text(browser, "state") == "ready")
    until(browser, lambda: text(browser, "state").startswith("no answer:"))
    browser.get_log("browser")


def test_parts_have_names_for_who_cannot_see_them(browser: Any, opened: Callable[..., str]) -> None:
    opened()
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('svg, section, [role=region]')].filter(node => "
        "!node.getAttribute('aria-label') && !document.getElementById(node.getAttribute('aria-labelledby'))).length"
    )
    assert unnamed == 0
    assert browser.execute_script("return document.querySelectorAll('th:not([scope])').length") == 0
    assert browser.find_element("id", "state").get_attribute("role") == "status"


def test_the_policy_forbids_what_is_not_the_page_s_own(
    browser: Any, observed: Observed, opened: Callable[..., str]
) -> None:
    address = opened()
    policy = httpx.get(address).headers["content-security-policy"]
    assert "'unsafe" not in policy
    assert "*" not in policy
    browser.execute_script(
        "const added = document.createElement('script'); added.textContent = \"document.title = 'owned'\";"
        "document.body.append(added)"
    )
    assert browser.title == "SuperVM"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_the_page_is_one_file_that_names_no_other() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in page
