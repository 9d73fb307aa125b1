#!/usr/bin/python3
"""Writes what a kubelet would give runc for the chart's pods: a bundle (config.json) for each.

Usage: bundles.py MANIFESTS WORK. WORK holds root/ (the image), secrets/NAME/, volumes/CLAIM/ and hosts; for each pod a
network name space /run/netns/POD exists, with the address that hosts tells. The bundles go to WORK/pods/POD.
"""

import json
import os
import pathlib
import shutil
import sys
from typing import Any, Iterator

import yaml

SECCOMP = pathlib.Path("/usr/share/containers/seccomp.json")  # What RuntimeDefault is with podman and CRI-O.
BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
NAMESPACES = ("pid", "ipc", "uts", "mount")
SYSTEM_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64m"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
]


def seccomp() -> dict[str, Any]:
    profile = json.loads(SECCOMP.read_text())
    calls = []
    for rule in profile["syscalls"]:
        needs = rule.get("includes", {})
        if needs.get("caps") or "amd64" not in needs.get("arches", ["amd64"]):
            continue  # No container here has a capability.
        kept = {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key) not in (None, [], "")}
        calls.append(kept)
    return {"defaultAction": profile["defaultAction"], "architectures": ["SCMP_ARCH_X86_64"], "syscalls": calls}


def pods(manifest: dict[str, Any]) -> Iterator[str]:
    name = manifest["metadata"]["name"]
    if manifest["kind"] == "Deployment":
        yield name
    for ordinal in range(manifest["spec"]["replicas"] if manifest["kind"] == "StatefulSet" else 0):
        yield f"{name}-{ordinal}"


def volume(work: pathlib.Path, pod: str, spec: dict[str, Any], group: int) -> pathlib.Path:
    """The directory that stands for a pod's volume, with the owners that fsGroup gives it."""
    if "persistentVolumeClaim" in spec:
        path = work / "volumes" / spec["persistentVolumeClaim"]["claimName"]
    else:
        path = work / "pods" / pod / "volumes" / spec["name"]
    path.mkdir(parents=True, exist_ok=True)
    if "secret" in spec:
        sources, mode = [{"name": spec["secret"]["secretName"], "items": None}], spec["secret"]["defaultMode"]
    elif "projected" in spec:
        sources, mode = [s["secret"] for s in spec["projected"]["sources"]], spec["projected"]["defaultMode"]
    else:
        os.chown(path, 0, group)
        path.chmod(0o2775)
        return path
    for source in sources:
        folder = work / "secrets" / source["name"]
        for item in source["items"] or [{"key": f.name, "path": f.name} for f in folder.iterdir()]:
            target = path / item["path"]
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / item["key"], target)
            os.chown(target, 0, group)
            target.chmod(mode)
    return path


def mounts(work: pathlib.Path, pod: str, spec: dict[str, Any], container: dict[str, Any]) -> list[dict[str, Any]]:
    known = {v["name"]: v for v in spec["volumes"]}
    result = [*SYSTEM_MOUNTS, {"destination": "/etc/hosts", "source": str(work / "hosts"), "options": ["bind", "ro"]}]
    for mount in container["volumeMounts"]:
        source = known[mount["name"]]
        if source.get("emptyDir", {}).get("medium") == "Memory":
            options = ["nosuid", "nodev", "mode=1777"]
            result.append({"destination": mount["mountPath"], "type": "tmpfs", "source": "tmpfs", "options": options})
            continue
        path = volume(work, pod, source, spec["securityContext"]["fsGroup"])
        path /= mount.get("subPathExpr", "").replace("$(POD_NAME)", pod)
        access = "ro" if mount.get("readOnly") else "rw"
        result.append({"destination": mount["mountPath"], "source": str(path), "options": ["rbind", access]})
    return result


def environment(work: pathlib.Path, pod: str, container: dict[str, Any]) -> dict[str, str]:
    addresses = {name: line.split()[0] for line in (work / "hosts").read_text().splitlines() for name in line.split()[1:]}
    fields = {"metadata.name": pod, "status.podIP": addresses.get(pod, "")}
    values = {"PATH": "/usr/bin"}
    for entry in container.get("env", []):
        values[entry["name"]] = entry.get("value") or fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
    return values


def config(work: pathlib.Path, pod: str, manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest["spec"]["template"]["spec"]
    for claim in manifest["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{pod}"}})
    (container,) = spec["containers"]
    security, own = spec["securityContext"], container["securityContext"]
    assert own["capabilities"] == {"drop": ["ALL"]} and security["runAsNonRoot"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    values = environment(work, pod, container)
    arguments = container["command"]
    for name, value in values.items():
        arguments = [argument.replace(f"$({name})", value) for argument in arguments]
    limit = container["resources"]["limits"]["memory"]
    resources: dict[str, Any] = {"memory": {"limit": int(limit[:-2]) * BYTES[limit[-2:]]}}
    if manifest["kind"] == "StatefulSet" and container["name"] == "worker":
        # A core of its own, as the kubelet's static CPU manager gives it.
        resources["cpu"] = {"cpus": str(int(pod.rsplit("-", 1)[1]) % (os.cpu_count() or 1)), "mems": "0"}
    namespaces = [{"type": name} for name in NAMESPACES] + [{"type": "network", "path": f"/run/netns/{pod}"}]
    return {
        "ociVersion": "1.0.2",
        "hostname": pod,
        "root": {"path": str(work / "root"), "readonly": own["readOnlyRootFilesystem"]},
        "process": {
            "args": arguments,
            "env": [f"{name}={value}" for name, value in values.items()],
            "cwd": "/",
            "user": {
                "uid": security["runAsUser"],
                "gid": security["runAsGroup"],
                "additionalGids": [security["fsGroup"]],
            },
            "capabilities": {},
            "noNewPrivileges": not own["allowPrivilegeEscalation"],
        },
        "mounts": mounts(work, pod, spec, container),
        "linux": {
            "cgroupsPath": f"/{work.name}/{pod}",
            "namespaces": namespaces,
            "resources": resources,
            "seccomp": seccomp(),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def main(manifests: str, folder: str) -> None:
    work = pathlib.Path(folder)
    for manifest in yaml.safe_load_all(pathlib.Path(manifests).read_text()):
        for pod in pods(manifest) if manifest else ():
            bundle = work / "pods" / pod
            bundle.mkdir(parents=True, exist_ok=True)
            described = json.loads(json.dumps(manifest))  # A copy: each pod adds its own.
            (bundle / "config.json").write_text(json.dumps(config(work, pod, described), indent=1))
            grace = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            (bundle / "grace").write_text(f"{grace}\n")


main(*sys.argv[1:])
