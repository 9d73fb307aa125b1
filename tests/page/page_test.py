#!/usr/bin/python3
"""The coordinator's page in a real browser, on the cluster that tests/integration/page.sh has started.

Usage: page_test.py WHAT URL [DIRECTORY], where WHAT is `cluster`, `token` (DIRECTORY holds the token's file) or
`screenshots` (DIRECTORY takes them).
"""

from __future__ import annotations

import sys
from pathlib import Path

from browser import Browser

HOSTILE = "<img src=x onerror=\"window.harmed=1;alert(1)\"><script>window.harmed=1</script>"
POINTS = "Number(document.querySelector('#loss svg')?.dataset.points || 0)"
TEXT = "document.querySelector('main')?.innerText || ''"
VIEWS = ("#/", "#/workers", "#/job/default/live", "#/job/default/wide", "#/compare?job=default/one&job=default/two")
READY = {
    "#/": "document.querySelectorAll('#jobs tbody tr').length >= 4 && document.querySelector('#queue li') !== null",
    "#/workers": "document.querySelectorAll('.slots li').length === 2",
    "#/job/default/live": f"{POINTS} > 2",
    "#/job/default/wide": "document.querySelector('#why li') !== null",
    "#/compare?job=default/one&job=default/two": "document.querySelectorAll('#overlay polyline').length === 2"
    " && document.querySelector('#fields table') !== null",
}


def expect(what: str, holds: object, detail: object = "") -> None:
    if not holds:
        raise SystemExit(f"not so: {what}: {detail}")


def look(browser: Browser, url: str, view: str) -> None:
    browser.open(f"{url}/{view}")
    browser.until(READY[view])


def check_views(browser: Browser, url: str) -> None:
    look(browser, url, "#/")
    text = browser.run(TEXT)
    for part in ("live", "wide", "PENDING", "needs 16 slots", "14 more slots", "1. wide"):
        expect(f"the jobs say '{part}'", part in text, text)
    look(browser, url, "#/workers")
    expect("a slot shows its job", "live" in browser.run(TEXT))
    look(browser, url, "#/job/default/live")
    before = browser.run(POINTS)
    browser.until(POINTS, lambda points: points > before)
    browser.open(f"{url}/#/job/default/one")
    browser.until("document.querySelector('.goodput .legend')?.innerText || ''", lambda text: "productive" in text)
    look(browser, url, "#/compare?job=default/one&job=default/two")
    fields = browser.run("document.querySelector('#fields').innerText")
    expect("compare shows the fields that differ", "train.seed" in fields and "train.steps" not in fields, fields)
    expect("and the newest values", "loss/valid" in browser.run("document.querySelector('#final').innerText"))


def check_phone(browser: Browser, url: str) -> None:
    for dark in (False, True):
        browser.width(375, dark=dark)
        for view in VIEWS:
            look(browser, url, view)
            wide = browser.run("document.documentElement.scrollWidth")
            expect(f"{view} fits 375 pixels", wide <= 375, wide)
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        expect("the scheme is followed", paper == ("rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)"), paper)
    browser.width(1100)


def check_selection(browser: Browser, url: str) -> None:
    look(browser, url, "#/")
    browser.run("for (const name of ['one', 'two']) document.querySelector(`[value='namespaces/default/jobs/${name}']`).click()")
    browser.run("document.getElementById('compare').click()")
    browser.until("document.querySelectorAll('#overlay polyline').length", lambda lines: lines == 2)


def check_hostile(browser: Browser, url: str) -> None:
    """Text that looks like a script, in labels and a reason of real jobs, and everywhere in replies of nobody."""
    for view in ("#/", "#/job/default/marked"):
        browser.open(f"{url}/{view}")
        browser.until(TEXT, lambda text: text.count("<img src=x") >= 2)
    job = {"name": f"namespaces/{HOSTILE}/jobs/{HOSTILE}", "uid": "u", "state": HOSTILE, "reason": HOSTILE, "submitter": HOSTILE}
    job |= {"pipeline": HOSTILE, "create_time": HOSTILE, "resolved": {"kind": HOSTILE, "labels": {HOSTILE: HOSTILE}}}
    job |= {"progress": {"step": HOSTILE, "loss": HOSTILE}, "attempts": [{"cause": HOSTILE, "failure": {"message": HOSTILE}}]}
    explained = {"reasons": [{"tier": HOSTILE, "message": HOSTILE, "remedy": HOSTILE}], "would_start": [HOSTILE]}
    explained |= {"recent_events": [{"type": HOSTILE, "actor": HOSTILE, "message": HOSTILE}], "queue_position": HOSTILE}
    samples = [{"name": f"loss/{HOSTILE}", "step": "1", "value": 1}, {"name": f"loss/{HOSTILE}", "step": "2", "value": 2}]
    slot = {"device": HOSTILE, "gpu_name": HOSTILE, "job": HOSTILE}
    worker = {"name": HOSTILE, "state": HOSTILE, "address": HOSTILE, "labels": {HOSTILE: HOSTILE}, "slots": [slot]}
    replies = {"/api/v1/server": {"version": HOSTILE}, "/api/v1/jobs": {"jobs": [job]}, "/api/v1/workers": {"workers": [worker]}}
    for end, reply in (("", job), ("/explain", explained), ("/metrics", {"samples": samples}), ("/metrics/newest", {"samples": samples})):
        replies[f"/api/v1/jobs/a/b{end}"] = reply
    browser.stand_in_for(replies)
    for view, least in (("#/", 5), ("#/workers", 4), ("#/job/a/b", 8), ("#/compare?job=a/b&job=a/b", 3)):
        browser.open(f"{url}/{view}")
        browser.until(TEXT, lambda text, least=least: text.count("<img src=x") >= least)
    expect("no element came of a text", browser.run("document.querySelectorAll('main img, main script').length") == 0)
    expect("nothing was run", browser.run("window.harmed === undefined"))
    browser.call("Fetch.disable")


def check_many_points(browser: Browser, url: str) -> None:
    """Ten thousand points, with gaps and what is no number, are drawn as a few hundred, and quickly."""
    browser.open(f"{url}/#/workers")
    browser.until(READY["#/workers"])
    took = browser.run(
        """import('/chart.js').then(({draw}) => {
          const points = Array.from({length: 10000}, (_, i) => [i, i === 5000 ? 99 : i % 100 === 0 ? NaN : Math.sin(i / 50)]);
          const figure = document.createElement('figure'), start = performance.now();
          draw(figure, 'x', [{name: 'x', points, color: 0}]);
          const drawn = figure.querySelector('polyline').getAttribute('points').split(' ');
          const top = Math.min(...drawn.map((one) => Number(one.split(',')[1])));
          return {drawn: drawn.length, top, bad: drawn.filter((one) => /NaN|Infinity/.test(one)).length,
                  took: performance.now() - start};
        })"""
    )
    expect("a curve of 10000 points is thinned, keeps its peak and its numbers", took["drawn"] <= 240 and took["bad"] == 0
           and took["top"] < 25 and took["took"] < 500, took)


def check_cluster(url: str) -> None:
    browser = Browser()
    try:
        browser.width(1100)
        for check in (check_views, check_phone, check_selection, check_many_points, check_hostile):
            check(browser, url)
        foreign = [one for one in browser.requests if not one.startswith(f"{url}/") and one != "about:blank"]
        expect("every request stays on the coordinator", browser.requests and not foreign, foreign)
        expect("nothing complains", not browser.complaints, browser.complaints)
    finally:
        browser.close()


def check_token(url: str, directory: Path) -> None:
    browser = Browser()
    try:
        browser.call("Security.setIgnoreCertificateErrors", ignore=True)
        browser.open(f"{url}/")
        browser.until("document.getElementById('door')?.hidden", lambda hidden: hidden is False)
        enter = "(text) => { document.getElementById('token').value = text; document.querySelector('#door button').click(); }"
        browser.run(f"({enter})('wrong')")
        browser.until("document.getElementById('trouble')?.innerText || ''", lambda text: "wrong" in text)
        token = (directory / "page-token").read_text().strip()
        browser.run(f"({enter})('{token}')")
        browser.until("document.getElementById('server')?.innerText || ''", lambda text: "jobs" in text)
        browser.until("document.getElementById('door').hidden")
        expect("the token is in no address", all(token not in one for one in browser.requests))
        kept = browser.run("[Object.keys(localStorage).length, Object.keys(sessionStorage).length, document.cookie]")
        expect("it is kept for the tab alone", kept == [0, 1, ""], kept)
    finally:
        browser.close()


def take_screenshots(url: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    browser = Browser()
    try:
        for name, view, width, height, dark in (
            ("page-jobs", "#/", 1000, 640, False),
            ("page-job", "#/job/default/live", 1000, 760, False),
            ("page-compare", "#/compare?job=default/one&job=default/two", 1000, 640, True),
            ("page-phone", "#/job/default/live", 375, 760, True),
        ):
            browser.width(width, height, dark)
            look(browser, url, view)
            browser.picture(directory / f"{name}.png")
    finally:
        browser.close()


def main() -> None:
    what, url, *rest = sys.argv[1:]
    if what == "cluster":
        check_cluster(url)
    elif what == "token":
        check_token(url, Path(rest[0]))
    else:
        take_screenshots(url, Path(rest[0]))


if __name__ == "__main__":
    main()
