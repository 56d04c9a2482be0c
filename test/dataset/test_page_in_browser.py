# SPDX-License-Identifier: Apache-2.0
"""The table in a real browser: headless Chromium, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.dataset.outcomes import Row
from calib_all_ros.dataset.page import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
NASTY = "<script>document.title = 'taken'</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("no Chromium with its driver here (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    except WebDriverException as error:
        pytest.skip(f"{binary} does not start: {(error.msg or '').splitlines()[0]}")
    yield driver
    driver.quit()


def shown(browser: Any) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    return [row.find_element(By.TAG_NAME, "td").text for row in rows if row.is_displayed()]


def test_rows_are_sorted_and_filtered(browser: Any, tmp_path: Path) -> None:
    rows = (
        Row("e10", "/e10", "", "accepted", lag_ms=-4.0),
        Row("e9", "/e9", "", "warning", reasons=(NASTY,), lag_ms=30.0),
        Row("e8", "/e8", "", "failed", reasons=("no images",)),
    )
    browser.get(write_page(tmp_path, "/data", rows).as_uri())
    assert shown(browser) == ["e8", "e9", "e10"]
    headers = {h.text: h for h in browser.find_elements(By.CSS_SELECTOR, "th button")}
    headers["Lag ms"].click()
    # What is not known stays at the end, whichever way the rest goes.
    assert shown(browser) == ["e10", "e9", "e8"]
    headers["Lag ms"].click()
    assert shown(browser) == ["e9", "e10", "e8"]
    headers["Episode"].click()
    assert shown(browser) == ["e8", "e9", "e10"]
    browser.find_element(By.CSS_SELECTOR, "input.show[value=failed]").click()
    assert shown(browser) == ["e9", "e10"]
    browser.find_element(By.ID, "filter").send_keys("e10")
    assert shown(browser) == ["e10"]
    assert browser.title.startswith("3 calibrations")
    assert browser.get_log("browser") == []
