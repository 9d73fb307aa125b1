#!/usr/bin/env python3
"""Asks a Prometheus for everything that the boards show and the rules compute.

  queries.py data URL SINCE            every panel's query and every rule has had a value since SINCE (seconds of the epoch)
  queries.py seen URL SINCE PATTERN    waits until each of those that the pattern is found in has had one
  queries.py firing URL ALERT...       waits until each of them fires
  queries.py silent URL ALERT...       waits until none of them does
"""

import glob
import json
import math
import os
import re
import sys
import time
import urllib.parse
import urllib.request

BOARDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/grafana/boards/*.json")
DEADLINE = 90.0


def ask(url, path, **arguments):
    query = urllib.parse.urlencode(arguments)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=30) as reply:
        return json.load(reply)["data"]


def has_value(url, expression, since):
    expression = re.sub(r"\$\w+", ".*", expression)
    found = ask(url, "query_range", query=expression, start=since, end=time.time(), step=2)["result"]
    return any(math.isfinite(float(value)) for series in found for _, value in series["values"])


def panels():
    for path in sorted(glob.glob(BOARDS)):
        for panel in json.load(open(path, encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                yield f"{os.path.basename(path)}: {panel['title']}", target["expr"]


def rules(url):
    """A recording rule by its name; an alert by every series that it looks at, since it has values only while it fires."""
    for group in ask(url, "rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"{rule['name']}: {rule.get('lastError')}", "vector(0) > 1"
            elif rule["type"] == "recording":
                yield rule["name"], rule["name"]
            else:
                for name in sorted(set(re.findall(r"\bc[a-z]+:?cherry_[a-z0-9_:]+|\bcherry_[a-z0-9_]+", rule["query"]))):
                    yield f"{rule['name']}: {name}", name


def check_data(url, since):
    failed = 0
    for what, expression in [*panels(), *rules(url)]:
        if not has_value(url, expression, since):
            failed += 1
            print(f"no value: {what}: {expression}")
    return failed


def wait_to_see(url, since, pattern):
    end = time.monotonic() + DEADLINE
    wanted = [expression for _, expression in [*panels(), *rules(url)] if re.search(pattern, expression)]
    while missing := [expression for expression in wanted if not has_value(url, expression, since)]:
        if time.monotonic() > end:
            print(f"no value: {', '.join(missing)}")
            break
        time.sleep(0.5)
    return len(missing)


def wait_for(url, names, fire):
    end = time.monotonic() + DEADLINE
    while True:
        firing = {alert["labels"]["alertname"] for alert in ask(url, "alerts")["alerts"] if alert["state"] == "firing"}
        wrong = set(names) - firing if fire else set(names) & firing
        if not wrong or time.monotonic() > end:
            break
        time.sleep(0.5)
    if wrong:
        print(f"{'silent' if fire else 'firing'}: {', '.join(sorted(wrong))}; firing: {', '.join(sorted(firing))}")
    return len(wrong)


def main():
    mode, url, *rest = sys.argv[1:]
    if mode == "data":
        wrong = check_data(url, float(rest[0]))
    elif mode == "seen":
        wrong = wait_to_see(url, float(rest[0]), rest[1])
    else:
        wrong = wait_for(url, rest, mode == "firing")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
