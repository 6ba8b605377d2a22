"""The HTML report in a real browser: headless Chromium, driven by Selenium."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from support.predictions import economy
from support.runs import run_file
from support.verdicts import ALL, HOSTILE, one_cell, slower

from reports.html import render

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_AXE = importlib.util.find_spec("axe_core_python")
assert _AXE and _AXE.origin
AXE = Path(_AXE.origin).with_name("axe.min.js")
"""axe-core, which the package carries."""
WIDTHS = (360, 390, 1280)
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in found.values():
        pytest.fail(f"browser tests need Chromium: apt-get install chromium chromium-driver (found {found})")
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=found["chromedriver"]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Variant name -> its report on disk, each rendered once; `two` is a comparison."""
    folder = tmp_path_factory.mktemp("pages")

    def page(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            verdicts = [one_cell(), slower()] if name == "two" else [{**ALL, "economy": economy}[name]()]
            text = HOSTILE if name == "hostile" else "killed by signal 9"
            files = [(run_file(folder / f"{name}{i}.sqlite", v, text=text), v) for i, v in enumerate(verdicts)]
            path.write_text(render(files), "utf-8")
            for file, _ in files:
                file.close()
        return path

    return page


@pytest.fixture
def visit(browser: webdriver.Chrome, pages: Callable[[str], Path]) -> Open:
    """Open a variant at a width, in a colour scheme."""

    def visit(name: str, width: int = 1280, scheme: str = "light") -> webdriver.Chrome:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(pages(name).as_uri())
        return browser

    return visit


VARIANTS = [*ALL, "economy", "two"]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_console_stays_empty_and_nothing_is_fetched(visit: Open, name: str) -> None:
    page = visit(name)
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_page_never_scrolls_sideways(visit: Open, name: str, width: int) -> None:
    page = visit(name, width)
    wide, room = page.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert wide <= room <= width
    outside = page.execute_script(
        """return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg'))
           .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []


@pytest.mark.parametrize("name", VARIANTS)
def test_every_picture_has_a_name_and_a_description(visit: Open, name: str) -> None:
    page = visit(name)
    told = page.execute_script(
        """const text = id => document.getElementById(id)?.textContent.trim() ?? '';
           return [...document.querySelectorAll('svg, img')].map(e => [e.getAttribute('role'),
             text(e.getAttribute('aria-labelledby')), text(e.getAttribute('aria-describedby'))])"""
    )
    assert all(role == "img" and title and len(description) > 10 for role, title, description in told)
    assert len(told) >= (0 if name == "empty" else 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_headings_descend_without_gaps(visit: Open, name: str) -> None:
    levels = visit(name).execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_tables_have_captions_and_scoped_heads(visit: Open) -> None:
    page = visit("troubled")
    missing = page.execute_script(
        """return [...document.querySelectorAll('table')].filter(t => !t.caption?.textContent.trim()
             || [...t.querySelectorAll('th')].some(h => !h.scope)).length"""
    )
    assert missing == 0


def test_the_theme_is_chosen_with_the_keyboard(visit: Open) -> None:
    page = visit("demo")

    def paper() -> str:
        return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light = paper()
    keyboard = webdriver.ActionChains(page)
    keyboard.send_keys(Keys.TAB, Keys.TAB, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    assert page.switch_to.active_element.get_attribute("value") == "dark"
    dark = paper()
    assert dark != light
    outlined = "return getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
    assert page.execute_script(outlined) == "solid"
    webdriver.ActionChains(page).send_keys(Keys.ARROW_LEFT).perform()
    assert paper() == light


def test_the_system_theme_is_followed_and_can_be_overruled(visit: Open) -> None:
    page = visit("demo", scheme="dark")
    read = "return getComputedStyle(document.body).backgroundColor"
    dark = page.execute_script(read)
    page.execute_script("document.getElementById('theme-light').click()")
    assert page.execute_script(read) != dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["troubled", "slower", "certified", "refuted", "economy"])
def test_text_stands_out_from_its_ground(visit: Open, name: str, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 : 1."""
    page = visit(name, scheme=scheme)
    weak = page.execute_script(
        """const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
           const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                                  return [...canvas.getImageData(0, 0, 1, 1).data]; };
           const light = c => c.slice(0, 3).map(v => v / 255)
             .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
             .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
           const ground = e => { for (; e; e = e.parentElement) {
               const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } };
           const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
           return [...document.querySelectorAll('body *')].filter(e => own(e) && e.checkVisibility())
             .filter(e => !['SCRIPT', 'STYLE'].includes(e.tagName)).map(e => {
               const style = getComputedStyle(e), ink = light(rgb(e.closest('svg') ? style.fill : style.color));
               const paper = light(ground(e));
               return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), e.textContent.slice(0, 40)]; })
             .filter(([ratio]) => ratio < 4.5)"""
    )
    assert weak == []


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_line_where_drafting_stops_paying_is_heavy_ink(visit: Open, scheme: str, media: str) -> None:
    page = visit("economy", scheme=scheme)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})
    widths = page.execute_script(
        """const ink = getComputedStyle(document.body).color;
           return [['.stops-right', 'Right'], ['.stops-below', 'Bottom']].map(([name, side]) => {
             const style = getComputedStyle(document.querySelector(name));
             return [style[`border${side}Width`], style[`border${side}Color`] === ink]; })"""
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert widths == [["3px", True], ["3px", True]]


def test_the_skip_link_comes_first_and_leads_to_the_result(visit: Open) -> None:
    page = visit("demo")
    webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
    assert page.switch_to.active_element.text == "Skip to the result"
    webdriver.ActionChains(page).send_keys(Keys.ENTER).perform()
    assert page.switch_to.active_element.get_attribute("id") == "main"


def test_tables_sort_by_column_with_the_keyboard(visit: Open) -> None:
    page = visit("demo")
    table = page.find_element(By.CSS_SELECTOR, "#speed table.sortable")
    head = table.find_element(By.XPATH, ".//thead//th[contains(., 'Speed-up')]")
    firsts = "return [...arguments[0].tBodies[0].rows].map(r => r.cells[0].textContent.trim())"
    page.execute_script("arguments[0].focus()", head.find_element(By.TAG_NAME, "button"))
    webdriver.ActionChains(page).send_keys(Keys.ENTER).perform()
    assert head.get_attribute("aria-sort") == "descending"
    assert page.execute_script(firsts, table)[0] == "k = 5"
    webdriver.ActionChains(page).send_keys(Keys.ENTER).perform()
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.execute_script(firsts, table)[0] == "k = 1"


def test_wide_tables_scroll_in_their_own_box_and_can_be_focused(visit: Open) -> None:
    page = visit("demo", 360)
    boxes = page.execute_script(
        """return [...document.querySelectorAll('.scroll')].filter(b => b.scrollWidth > b.clientWidth)
             .map(b => [b.tabIndex, b.getAttribute('role'), getComputedStyle(b).overflowX])"""
    )
    assert boxes
    assert all(box == [0, "region", "auto"] for box in boxes)


def test_without_javascript_everything_is_there(visit: Open, browser: webdriver.Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = visit("demo")
        assert not page.find_elements(By.CSS_SELECTOR, "th button")
        assert len(page.find_elements(By.CSS_SELECTOR, "#speed tbody tr")) == 2 + 12
        page.find_element(By.CSS_SELECTOR, "label:has(#theme-dark)").click()
        assert page.find_element(By.ID, "theme-dark").is_selected()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_strangers_text_runs_nothing(visit: Open) -> None:
    page = visit("hostile", 360)
    assert "owned" not in page.title.split("mtpbench")[-1]
    assert page.title.endswith("– mtpbench")
    assert page.execute_script("return document.scripts.length") == 1
    assert page.execute_script("return document.images.length") == 0
    assert page.get_log("browser") == []


def test_pictures_are_legible_on_a_phone(visit: Open) -> None:
    sizes = visit("demo", 360).execute_script(
        """return [...document.querySelectorAll('svg.plot')].map(s =>
             11 * s.getBoundingClientRect().width / s.viewBox.baseVal.width)"""
    )
    assert min(sizes) >= 9


def opened(page: Any) -> list[Any]:
    """The divergences of a report, opened as a reader would open them."""
    found = page.find_elements(By.CSS_SELECTOR, "details.divergence")
    for one in found:
        page.execute_script("arguments[0].focus()", one.find_element(By.TAG_NAME, "summary"))
        webdriver.ActionChains(page).send_keys(Keys.ENTER).perform()
    return list(found)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["diverged", "refuted", "hostile"])
def test_opened_divergences_stay_inside_the_page(visit: Open, name: str, width: int) -> None:
    page = visit(name, width)
    found = opened(page)
    assert found
    assert all(one.get_attribute("open") for one in found)
    assert all(one.find_element(By.CSS_SELECTOR, ".both").is_displayed() for one in found)
    wide, room = page.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert wide <= room <= width
    outside = page.execute_script(
        """return [...document.querySelectorAll('.divergence *')]
           .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []
    assert page.get_log("browser") == []


def test_both_continuations_stand_beside_each_other_where_there_is_room(visit: Open) -> None:
    def tops(width: int) -> list[float]:
        page = visit("refuted", width)
        first = opened(page)[0]
        return [part.rect["y"] for part in first.find_elements(By.CSS_SELECTOR, ".both > .passage")]

    plain, drafted = tops(1280)
    assert plain == drafted
    plain, drafted = tops(390)
    assert plain < drafted


def test_a_strangers_text_cannot_leave_its_passage(visit: Open) -> None:
    page = visit("hostile", 390)
    opened(page)
    passages = page.find_elements(By.CSS_SELECTOR, ".divergence pre")
    assert len(passages) == 2 * 3, "two cells, three passages each"
    assert any("</pre></details>" in passage.text for passage in passages)
    assert page.execute_script("return document.title.startsWith('owned')") is False


def test_printing_shows_closed_divergences(visit: Open) -> None:
    page = visit("refuted")
    drawn = """const done = arguments[0];
               requestAnimationFrame(() => requestAnimationFrame(() => done(
                 [...document.querySelectorAll('.both')].filter(e => e.checkVisibility({contentVisibilityAuto: true}) &&
                   e.getBoundingClientRect().height > 20).length)))"""
    assert page.execute_async_script(drawn) == 0
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page.execute_async_script(drawn) == 2 + 6


@pytest.mark.parametrize("name", ["certified", "broken", "verified", "refuted"])
def test_the_certificate_is_on_the_first_screen(visit: Open, name: str) -> None:
    page = visit(name)
    certificate = page.find_element(By.CSS_SELECTOR, ".lossless")
    assert certificate.rect["y"] + certificate.rect["height"] < 900
    assert "Worst regret" in certificate.text


LOOKS = [
    (name, width, scheme) for name in ("troubled", "economy") for width in (390, 1280) for scheme in ("light", "dark")
]
LOOKS += [(name, *look) for name in ("refuted", "hostile", "two") for look in ((390, "dark"), (1280, "light"))]


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_axe_finds_nothing_against_wcag(visit: Open, name: str, width: int, scheme: str) -> None:
    page = visit(name, width, scheme)
    page.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    page.execute_script(AXE.read_text("utf-8"))
    found = page.execute_async_script(
        """const done = arguments[0];
           axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], resultTypes: ['violations']})
             .then(r => done([r.passes.length, r.violations.map(v =>
                       [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)])]),
                   e => done([0, String(e)]))"""
    )
    passed, violations = found
    assert violations == []
    assert passed > 10, "axe looked at nothing"


def test_axe_would_find_something(visit: Open) -> None:
    page = visit("one_cell")
    page.execute_script("document.querySelector('fieldset').innerHTML = '<input><img src=data:,>'")
    page.execute_script(AXE.read_text("utf-8"))
    found = page.execute_async_script("axe.run().then(r => arguments[0](r.violations.map(v => v.id)))")
    assert {"image-alt", "label"} <= set(found)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["demo", "hostile", "two"])
def test_opened_raw_tables_stay_inside_the_page(visit: Open, name: str, width: int) -> None:
    page = visit(name, width)
    page.execute_script("document.querySelectorAll('details.raw').forEach(e => { e.open = true; })")
    wide, room = page.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert wide <= room <= width
    assert page.get_log("browser") == []


@pytest.mark.parametrize("name", ["demo", "economy", "broken", "two"])
def test_nothing_is_wider_than_paper(visit: Open, name: str) -> None:
    page = visit(name, 720)  # A4 less the margins
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    wide = page.execute_script(
        """return [...document.querySelectorAll('table, svg')].filter(e => e.getBoundingClientRect().right > 721)
           .map(e => e.caption?.textContent ?? e.id)"""
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert wide == []


def test_raw_tables_download_without_javascript(visit: Open, browser: webdriver.Chrome, tmp_path: Path) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = visit("one_cell")
        page.find_element(By.CSS_SELECTOR, "a[download$='-cells.csv']").send_keys(Keys.ENTER)
        wait = WebDriverWait(page, 20)
        (file,) = wait.until(lambda _: list(tmp_path.glob("*.csv")))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert file.name == "one_cell0-cells.csv"
    assert file.read_text("utf-8").startswith('"group","backend","pair"')


def test_a_wrong_verdict_differs_from_a_good_one_by_more_than_colour(visit: Open) -> None:
    good, bad = (visit(name).find_element(By.CSS_SELECTOR, "h1").text for name in ("verified", "refuted"))
    assert good == "Output identical to plain decoding in every prompt compared"
    assert bad.startswith("Output is not the target's own")
    weights = "return [...document.querySelectorAll('.lossless .loud')].map(e => getComputedStyle(e).fontWeight)"
    assert set(visit("refuted").execute_script(weights)) == {"650"}
