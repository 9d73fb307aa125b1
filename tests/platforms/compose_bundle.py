#!/usr/bin/env python3
"""An OCI bundle for runc out of a service of a compose file and its image, as an engine would make it.

usage: compose_bundle.py COMPOSE SERVICE --inspect IMAGE.json --root DIR --state DIR --netns PATH --bundle DIR
                         [--mount HOST:CONTAINER] [-- ARGUMENT...]

Takes from the image its user, environment and entrypoint; from the service what it changes, its one volume, and what it
forbids. ARGUMENTs stand for the service's command. What this does not know of a service is an error. Prints the seconds
that the service may take to stop.
"""
from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

KNOWN = {"image", "build", "command", "entrypoint", "user", "read_only", "cap_drop", "security_opt", "volumes",
         "network_mode", "depends_on", "stop_grace_period", "stop_signal", "restart", "healthcheck", "profiles"}
CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def service_of(compose: Path, name: str) -> dict[str, Any]:
    services = yaml.safe_load(compose.read_text())["services"]
    service: dict[str, Any] = services[name]
    unknown = set(service) - KNOWN
    if unknown:
        raise SystemExit(f"{compose}: {name}: this script does not know {', '.join(sorted(unknown))}")
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for key, value in wanted.items():
        if service.get(key) != value:
            raise SystemExit(f"{compose}: {name}: {key} is {service.get(key)}, not {value}")
    return service


def user_of(text: str) -> dict[str, int]:
    user, group = (int(part) for part in text.split(":"))
    if user == 0 or group == 0:
        raise SystemExit(f"user {text}: the containers run as nobody's root")
    return {"uid": user, "gid": group}


def mounts_of(service: dict[str, Any], state: str, more: list[str]) -> list[dict[str, Any]]:
    volumes = service.get("volumes", [])
    if volumes != ["state:/var/lib/cherry"]:
        raise SystemExit(f"volumes are {volumes}: exactly one is expected, state:/var/lib/cherry")
    mounts = [{"destination": "/var/lib/cherry", "source": state, "type": "bind", "options": ["rbind", "rw"]}]
    for one in more:
        source, destination = one.split(":")
        mounts.append({"destination": destination, "source": source, "type": "bind", "options": ["rbind", "ro"]})
    return mounts


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)s", text)
    if not match:
        raise SystemExit(f"stop_grace_period {text}: give seconds, like 150s")
    return int(match[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("compose", type=Path)
    parser.add_argument("service")
    for name in ("inspect", "root", "state", "netns", "bundle"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--mount", action="append", default=[])
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given, arguments = parser.parse_args(words[:end]), words[end + 1:]

    service = service_of(given.compose, given.service)
    image = json.loads(Path(given.inspect).read_text())["Docker"]["config"]
    bundle = Path(given.bundle)
    spec = json.loads((bundle / "config.json").read_text())  # what `runc spec` writes
    entrypoint = service.get("entrypoint", image.get("Entrypoint") or [])
    spec["root"] = {"path": given.root, "readonly": service["read_only"]}
    spec["hostname"] = given.service
    spec["process"].update(
        terminal=False, noNewPrivileges=True, cwd=image.get("WorkingDir") or "/", env=image["Env"],
        user=user_of(service.get("user", image["User"])),
        args=[*entrypoint, *(arguments or service.get("command", []))],
        capabilities={name: [] for name in CAPABILITY_SETS})
    spec["mounts"] += mounts_of(service, given.state, given.mount)
    for namespace in spec["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = given.netns
    (bundle / "config.json").write_text(json.dumps(spec, indent=1))
    print(seconds(service.get("stop_grace_period", "10s")))


if __name__ == "__main__":
    main()
