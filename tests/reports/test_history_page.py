"""The drawn history: whole, harmless, and legible in a real browser at phone and desktop width."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from selenium import webdriver
from support.verdicts import HOSTILE, cell, hostile, run_facts

from reports.history_page import DRAWN, render
from reports.plots.history import over_runs
from results.origin import Origin
from results.trends.history import METRICS, History, Snapshot, history


def steps(days: int = 10, *, settings: int = 1, bad: bool = False) -> History:
    """A history whose speed-up falls halfway, with the version of an engine."""
    cells = (
        [replace(hostile().cells[0], sampling=None, equivalence=None)]
        if bad
        else [replace(cell(4), batch_size=2**n) for n in range(settings)]
    )
    runs = []
    for day in range(days):
        gain = (1.0 if day < days // 2 else 0.8) * (1 + 0.002 * (day % 3))
        timed = [replace(one, speedup=replace(one.speedup, point=one.speedup.point * gain)) for one in cells
                 if one.speedup]  # fmt: skip
        engine = {"vllm demo": {"versions": {HOSTILE if bad else "vllm": "1" if day < days // 2 else "2"}}}
        created = {"created_unix_ns": 1_795_447_200_000_000_000 + day * 86_400 * 10**9}
        runs.append(Snapshot(HOSTILE if bad else f"{day}.sqlite", run_facts(**created), Origin({}, engine), (*timed,)))
    return history(HOSTILE if bad else "runs", runs, [HOSTILE] if bad else ["odd.sqlite is no run file"])


def test_pictures_hold_the_figures_in_words_and_as_svg() -> None:
    found = steps()
    (trend,) = found.trends
    for metric in METRICS:
        picture = over_runs("k", trend, metric, found.runs)
        assert picture is not None and ElementTree.fromstring(picture.svg).get("role") == "img"
        assert "run 10: " in picture.alternative
        assert ("from run 6 on" in picture.alternative) == (metric == "speed-up")
    bare = replace(trend, points=tuple(replace(point, speedup=None) for point in trend.points))
    assert over_runs("k", bare, "speed-up", found.runs) is None


def test_the_page_says_what_changed_and_where() -> None:
    page = render(steps())
    assert "10 runs of 1 cell: 1 change of level" in page
    assert "from run 6 on speed-up" in page and "vllm demo.versions.vllm: 1 → 2" in page
    assert "odd.sqlite is no run file" in page and "http" not in page.replace("http-equiv", "").replace(
        "http://www.w3.org", ""
    )


def test_only_some_of_many_cells_are_drawn_and_that_is_said() -> None:
    page = render(steps(2, settings=DRAWN + 3))
    assert page.count("<h3") == DRAWN and f"Pictures show {DRAWN} of {DRAWN + 3} cells" in page


def test_nothing_of_a_stranger_s_file_is_trusted() -> None:
    page = render(steps(5, bad=True))
    assert "<script" not in page and "<img" not in page
    assert not any(sign in page for sign in "\x1b\x07\x00\x9b\u202e\u2066\ud800")
    page.encode()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or pytest.fail("needs Chromium: apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--disable-background-networking",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    )
    yield driver
    driver.quit()


@pytest.mark.browser
@pytest.mark.parametrize("bad", [False, True])
def test_a_browser_shows_it_without_errors_or_overflow(browser: webdriver.Chrome, tmp_path: Path, bad: bool) -> None:
    path = tmp_path / "history.html"
    path.write_text(render(steps(bad=bad)), "utf-8")
    for width in (360, 390, 1280):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(path.as_uri())
        assert browser.get_log("browser") == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        widest = browser.execute_script(
            "return Math.max(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))"
        )
        assert 250 < widest <= width
        main = browser.execute_script("return document.querySelector('main').clientWidth")
        assert main > 0.7 * width, "the text takes the page's width"
        assert browser.title != "owned"
