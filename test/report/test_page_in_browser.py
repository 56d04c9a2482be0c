# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: headless Chromium, without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.page import write_report
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.paste import static_transform_publisher, urdf_origin
from calib_all_ros.results.records import Finding, Verdict
from calib_all_ros.robot.description import Robot

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NASTY = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium with a fresh profile."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("no Chromium with its driver here (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    except WebDriverException as error:
        pytest.skip(f"{binary} does not start: {(error.msg or '').splitlines()[0]}")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory,
    calibration: Calibration,
    simulated_recording: Recording,
    demo_robot: Robot,
    evidence: Evidence,
) -> Path:
    """A report with everything on it, and with hostile names."""
    finding = Finding("images_late", "rejected", f"topic {NASTY} is late", "mend it", 2.0)
    hostile = replace(
        calibration,
        verdict=Verdict("rejected", (finding.sentence,), (finding,)),
        provenance=replace(calibration.provenance, recording=NASTY),
    )
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder, hostile, simulated_recording, demo_robot, evidence)


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The browser with the page, and with empty logs before it."""
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    size(browser, 1400)
    browser.get(page.as_uri())
    return browser


def size(browser: Any, width: int, scheme: str = "light") -> None:
    """Set the width of what the page sees, which a window's minimum does not limit."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def requested(browser: Any) -> set[str]:
    """Addresses that the browser asked for since the logs were emptied."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = (m["params"] for m in messages if m["method"] == "Network.requestWillBeSent")
    return {parameters["request"]["url"] for parameters in sent}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of a computed CSS colour."""
    channels = [float(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def computed(browser: Any, selector: str, name: str) -> str:
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return str(browser.execute_script(script, selector, name))


def test_verdict_is_what_one_sees_first(opened: Any) -> None:
    heading = opened.find_element(By.CSS_SELECTOR, "#verdict h2")
    assert heading.is_displayed() and heading.rect["y"] < 300
    assert heading.text == "Rejected: do not use this pose"
    finding = opened.find_element(By.CSS_SELECTOR, ".findings li")
    assert "Images and joint states are out of step" in finding.text
    assert "Mend it." in finding.text


def test_nothing_is_fetched_and_nothing_complains(opened: Any, page: Path) -> None:
    assert {url for url in requested(opened) if not url.startswith("data:")} == {page.as_uri()}
    assert opened.get_log("browser") == []


def test_hostile_names_are_only_text(opened: Any) -> None:
    assert NASTY in opened.find_element(By.ID, "provenance").text
    assert NASTY in opened.find_element(By.ID, "verdict").text
    assert opened.title.startswith("rejected: ")


def test_the_policy_stops_what_would_get_through(opened: Any) -> None:
    opened.execute_script(
        "const made = document.createElement('div');"
        "made.innerHTML = \"<img src='data:,' onerror=\\\"document.title='taken'\\\">\";"
        "document.body.append(made);"
    )
    found = opened.execute_async_script(
        "const done = arguments[0]; setTimeout(() => done(document.title), 200)"
    )
    assert found.startswith("rejected: ")


def test_every_picture_is_there(opened: Any) -> None:
    sizes = opened.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight])"
    )
    assert len(sizes) == 8
    assert all(complete and width > 0 and height > 0 for complete, width, height in sizes)
    drawings = opened.execute_script(
        "return [...document.querySelectorAll('svg')].map(s => {"
        "const box = s.getBoundingClientRect(), drawn = s.getBBox();"
        "return [box.width, box.height, drawn.width, drawn.height]})"
    )
    # Five plots; before and after on six images, mask and outline, track.
    assert len(drawings) == 5 + 12 + 2 + 1
    assert all(min(measures) > 0 for measures in drawings)


def test_slider_wipes_between_before_and_after(opened: Any) -> None:
    figure = opened.find_element(By.CSS_SELECTOR, ".wipe")
    slider = figure.find_element(By.TAG_NAME, "input")
    assert slider.is_displayed() and slider.get_attribute("aria-label")
    before = figure.find_element(By.CSS_SELECTOR, "svg.before")
    after = figure.find_element(By.CSS_SELECTOR, "svg.after")

    def clips() -> tuple[str, str]:
        return tuple(e.value_of_css_property("clip-path") for e in (before, after))

    slider.send_keys(Keys.HOME)
    assert clips() == ("inset(0px 100% 0px 0px)", "inset(0px 0px 0px 0%)")
    slider.send_keys(Keys.END)
    assert clips() == ("inset(0px 0% 0px 0px)", "inset(0px 0px 0px 100%)")
    slider.send_keys(Keys.ARROW_LEFT)
    assert clips() == ("inset(0px 1% 0px 0px)", "inset(0px 0px 0px 99%)")
    # Or by pointing at the picture itself.
    stage = figure.find_element(By.CLASS_NAME, "stage")
    webdriver.ActionChains(opened).move_to_element(stage).click().perform()
    assert abs(float(slider.get_attribute("value")) - 50.0) <= 1.0
    assert "aria-valuetext" in figure.get_attribute("innerHTML")


def test_copy_buttons_copy(opened: Any, page: Path, calibration: Calibration) -> None:
    permission = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    opened.execute_cdp_cmd("Browser.grantPermissions", permission)
    buttons = opened.find_elements(By.CSS_SELECTOR, "button.copy")
    texts = [
        static_transform_publisher(
            calibration.T_base_camera, calibration.robot.base_frame, calibration.camera.frame_id
        ),
        urdf_origin(calibration.T_base_camera),
    ]
    assert [opened.find_element(By.ID, b.get_attribute("data-source")).text for b in buttons]
    for button, text in zip(buttons, texts, strict=True):
        assert button.is_displayed() and button.text == "Copy"
        button.click()
        copied = opened.execute_async_script(
            "const done = arguments[0];"
            "setTimeout(() => navigator.clipboard.readText().then(done, e => done('' + e)), 100)"
        )
        assert copied == text
        assert button.text == "Copied"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 700, 1400])
def test_page_fits_and_can_be_read(opened: Any, width: int, scheme: str) -> None:
    size(opened, width, scheme)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    assert opened.execute_script("return window.innerWidth") == width
    panel, page = (
        computed(opened, "section", "backgroundColor"),
        computed(opened, "body", "backgroundColor"),
    )
    assert (luminance(panel) < 0.05) == (scheme == "dark")
    for selector, background in (
        ("#verdict h2", panel),
        ("#verdict p", panel),
        (".findings p", computed(opened, ".findings li", "backgroundColor")),
        (".badge", computed(opened, ".findings li", "backgroundColor")),
        ("figcaption", panel),
        (".meaning", panel),
        ("pre", computed(opened, "pre", "backgroundColor")),
        ("nav a", page),
        ("h1", page),
    ):
        assert contrast(computed(opened, selector, "color"), background) >= 4.5, selector
    # Plots take the page's colours, and are read at any width.
    text = opened.find_element(By.CSS_SELECTOR, "svg.plot text")
    assert contrast(text.value_of_css_property("fill"), panel) >= 4.5
    shown_px = opened.execute_script(
        "const svg = arguments[0].ownerSVGElement;"
        "return svg.getScreenCTM().a * parseFloat(getComputedStyle(arguments[0]).fontSize)",
        text,
    )
    assert shown_px >= 7.0


def test_without_scripts_the_final_outline_is_whole(browser: Any, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        after = browser.find_element(By.CSS_SELECTOR, ".wipe svg.after")
        before = browser.find_element(By.CSS_SELECTOR, ".wipe svg.before")
        assert after.value_of_css_property("display") != "none"
        assert after.value_of_css_property("clip-path") == "none"
        assert before.value_of_css_property("display") == "none"
        for hidden in (".wipe input", ".wipe .tag", "button.copy"):
            element = browser.find_element(By.CSS_SELECTOR, hidden)
            assert element.value_of_css_property("display") == "none"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_paper_both_outlines_are_whole(opened: Any) -> None:
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for outline in (".wipe .before", ".wipe .after"):
            assert computed(opened, outline, "display") != "none"
            assert computed(opened, outline, "clipPath") == "none"
        assert computed(opened, "button.copy", "display") == "none"
        assert luminance(computed(opened, "section", "backgroundColor")) == pytest.approx(1.0)
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
