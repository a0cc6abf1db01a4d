"""The report in Chromium with the network off: nothing is fetched, nothing fails, every section opens, the tracks turn."""

import json
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT = Path(os.environ.get("DEFOCUS3D_REPORT", ROOT / "results" / "report.html")).resolve()
KEPT = ROOT / "results" / "screenshots"
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1500,950""".split()
MOST_BYTES = 15_000_000
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def test_chromium_is_there():
    missing = [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if path is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{' and '.join(missing)} not found: apt-get install chromium chromium-driver")
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a network, showing the report."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its driver")
    if not REPORT.exists():
        pytest.skip(f"{REPORT} is not there; `make demo` makes one")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        driver.get_log("performance")  # what the empty tab asked for
        driver.get(REPORT.as_uri())
        yield driver
    finally:
        driver.quit()


def keep(browser, name: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(KEPT / f"{name}.png"))


def click(browser, text: str) -> None:
    """Click on the menu's entry with the given text."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def entries(driver):
        return [link for link in driver.find_elements(By.CSS_SELECTOR, "nav a") if link.text.strip() == text]

    WebDriverWait(browser, 10).until(entries, f"no entry {text!r} in the menu")[0].click()


def shown(browser):
    """The image or page in the content of the report, loaded."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    loaded = "const i = document.querySelector('.grow img, iframe'); return i && (i.tagName == 'IFRAME' || i.naturalWidth > 0)"
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(loaded), "nothing was shown")
    return browser.find_element(By.CSS_SELECTOR, ".grow img, iframe")


def open_result(browser, path: str) -> None:
    """Open a result by clicking: home, category, subcategory, and the eye beside its name."""
    from selenium.webdriver.common.by import By

    home(browser)
    for category, names in browser.execute_script("return categories").items():
        for subcategory, results in names.items():
            if path in results:
                click(browser, category)
                if len(names) > 1:
                    click(browser, subcategory)
                label = browser.execute_script("return results[arguments[0]].labels.figure", path)
                row = browser.find_element(By.XPATH, f"//nav//tr[td[contains(., '{label}')]]")
                row.find_elements(By.TAG_NAME, "a")[0].click()
                return
    raise AssertionError(f"{path} is in no category")


def home(browser) -> None:
    from selenium.webdriver.common.by import By

    crumbs = browser.find_elements(By.CSS_SELECTOR, "nav ol a, nav li a")
    if crumbs:
        crumbs[0].click()


def test_the_file_is_small_enough_to_send():
    if not REPORT.exists():
        pytest.skip(f"{REPORT} is not there; `make demo` makes one")
    assert REPORT.stat().st_size <= MOST_BYTES


def test_the_first_page_has_a_verdict_and_a_picture_for_each_acquisition(browser):
    rows = browser.execute_script(
        "return [...document.querySelectorAll('.verdicts tbody tr')].map(r => [r.innerText, r.querySelector('img').naturalWidth])"
    )
    keep(browser, "first_page")
    assert rows
    for text, width in rows:
        assert any(verdict in text for verdict in ("consistent", "insufficient")), text
        assert width > 0


def test_every_picture_and_page_opens_by_clicking(browser):
    kinds = browser.execute_script("return Object.entries(results).map(([path, r]) => [path, r.mime_type])")
    for path, kind in kinds:
        if kind.startswith("image") or kind == "text/html":
            open_result(browser, path)
            assert shown(browser)
            keep(browser, path.removeprefix("results/").replace("/", "_").rpartition(".")[0])


def test_the_tracks_turn_by_mouse(browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    pages = browser.execute_script("return Object.keys(results).filter(path => path.endsWith('tracks.html'))")
    assert pages
    open_result(browser, pages[0])
    browser.switch_to.frame(shown(browser))
    try:
        canvas = browser.find_element(By.ID, "view")
        picture = "return document.getElementById('view').toDataURL()"
        before = browser.execute_script(picture)
        ActionChains(browser).drag_and_drop_by_offset(canvas, 120, 40).perform()
        after = browser.execute_script(picture)
    finally:
        browser.switch_to.default_content()
    keep(browser, "turned")
    assert before != after


def test_nothing_was_fetched_and_nothing_failed(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    assert asked  # the report itself
    assert [url[:100] for url in asked if not url.startswith(("file:", "data:", "blob:", "chrome:"))] == []
    errors = [entry["message"][:300] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
