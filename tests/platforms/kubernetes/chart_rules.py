#!/usr/bin/python3
"""Checks what a chart's manifests promise together, which no API server looks at.

References, selectors, safety, time for a checkpoint.

Usage: chart_rules.py < MANIFESTS. Prints one line for each breach. Needs Debian's python3-yaml.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Iterator

import yaml

Json = dict[str, Any]
POD_SAFETY = {"runAsNonRoot": True, "runAsUser": 880, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SAFETY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
GRACE_SECONDS = 10  # Beyond --grace, for a worker to report what its ranks did.


def selects(selector: Json, labels: Json) -> bool:
    """Whether a selector of matchLabels takes an object."""
    return all(labels.get(key) == value for key, value in selector.items())


def pod_safety(name: str, pod: Json) -> Iterator[str]:
    """What lets a pod do more than it needs."""
    for key, value in POD_SAFETY.items():
        if pod.get("securityContext", {}).get(key) != value:
            yield f"{name}: securityContext.{key} is not {value}"
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{name}: the token of its service account is mounted"
    for container in pod["containers"]:
        for key, value in CONTAINER_SAFETY.items():
            if container.get("securityContext", {}).get(key) != value:
                yield f'{name}: {container["name"]}: securityContext.{key} is not {value}'
        if not container.get("resources"):
            yield f'{name}: {container["name"]}: no resources'
    for volume in pod["volumes"]:
        for source in (volume.get("secret"), volume.get("projected")):
            if source and source.get("defaultMode", 0o644) & 0o007:
                yield f'{name}: volume {volume["name"]}: all users may read it'
        if "hostPath" in volume:
            yield f'{name}: volume {volume["name"]}: a path of the node'


def mounts(name: str, owner: Json, pod: Json) -> Iterator[str]:
    """Mounts of volumes that are not there, and volumes that nobody mounts."""
    there = {volume["name"] for volume in pod["volumes"]}
    there |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
    mounted = {mount["name"] for c in pod["containers"] for mount in c.get("volumeMounts", [])}
    for volume in sorted(mounted - there):
        yield f"{name}: mounts {volume}, which is no volume"
    for volume in sorted(there - mounted):
        yield f"{name}: volume {volume} is mounted nowhere"


def daemon(name: str, pod: Json) -> Iterator[str]:
    """A coordinator or a worker: probes that can work with TLS, certificates, time for a checkpoint."""
    container = pod["containers"][0]
    command = container["command"]
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in PROBES:
        if "grpc" in container.get(probe, {}):
            yield f"{name}: {probe}: the kubelet speaks gRPC without TLS only"
        if container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
            yield f"{name}: {probe} asks no port of the container"
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    for flag in ("--tls-cert", "--tls-key", "--tls-ca", "--home", "--data-root", "--checkpoint-root"):
        values = [part.split("=", 1)[1] for part in command if part.startswith(flag + "=")]
        if len(values) != 1 or not any(values[0].startswith(path) for path in mounted):
            yield f"{name}: {flag} names {values}, beneath no mount"
    for part in command:
        if match := re.fullmatch(r"--grace=(\d+)s", part):
            if pod["terminationGracePeriodSeconds"] < int(match[1]) + GRACE_SECONDS:
                yield f"{name}: terminationGracePeriodSeconds leaves no {GRACE_SECONDS} s after {part}"
    if "cherry-worker" in command and not any(part.startswith("--grace=") for part in command):
        yield f"{name}: a worker without --grace"


def references(manifests: list[Json]) -> Iterator[str]:
    """Selectors that take nothing, names of claims and Services that nobody makes."""
    owners = [m for m in manifests if m["kind"] in ("StatefulSet", "Deployment")]
    names = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    pods = [owner["spec"]["template"] for owner in owners]
    services = [m for m in manifests if m["kind"] == "Service"]
    for service in services:
        taken = [pod for pod in pods if selects(service["spec"]["selector"], pod["metadata"]["labels"])]
        if not taken:
            yield f'Service/{service["metadata"]["name"]}: takes no pod'
        for port in service["spec"]["ports"]:
            if any(port.get("targetPort", port["port"]) not in ports_of(pod["spec"]) for pod in taken):
                yield f'Service/{service["metadata"]["name"]}: port {port["name"]} is none of its pods'
    for owner in owners:
        name = f'{owner["kind"]}/{owner["metadata"]["name"]}'
        labels = owner["spec"]["template"]["metadata"]["labels"]
        if not selects(owner["spec"]["selector"]["matchLabels"], labels):
            yield f"{name}: does not take its own pods"
        if owner["kind"] == "StatefulSet" and ("Service", owner["spec"]["serviceName"]) not in names:
            yield f'{name}: serviceName {owner["spec"]["serviceName"]} is no Service'
    for policy in (m for m in manifests if m["kind"] == "PodDisruptionBudget"):
        selector = policy["spec"]["selector"]["matchLabels"]
        if sum(selects(selector, pod["metadata"]["labels"]) for pod in pods) != 1:
            yield f'PodDisruptionBudget/{policy["metadata"]["name"]}: takes not the pods of one owner'
    for monitor in (m for m in manifests if m["kind"] == "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        taken = [service for service in services if selects(selector, service["metadata"]["labels"])]
        wanted = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        if not taken or any(not wanted <= {port["name"] for port in s["spec"]["ports"]} for s in taken):
            yield f'ServiceMonitor/{monitor["metadata"]["name"]}: no Service with port {sorted(wanted)}'


def secrets_of(pod: Json) -> set[str]:
    """The Secrets that a pod mounts."""
    projected = [volume["projected"]["sources"] for volume in pod["volumes"] if "projected" in volume]
    names = {source["secret"]["name"] for sources in projected for source in sources if "secret" in source}
    return names | {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}


def certificates(manifests: list[Json]) -> Iterator[str]:
    """Secrets that no Certificate makes, where there are Certificates, and workers' without the role."""
    made = {m["spec"]["secretName"]: m["spec"] for m in manifests if m["kind"] == "Certificate"}
    for owner in (m for m in manifests if made and m["kind"] in ("StatefulSet", "Deployment")):
        name = f'{owner["kind"]}/{owner["metadata"]["name"]}'
        pod = owner["spec"]["template"]["spec"]
        for secret in sorted(secrets_of(pod)):
            if secret not in made:
                yield f"{name}: no Certificate makes the Secret {secret}"
            elif "cherry-worker" in pod["containers"][0]["command"]:
                units = made[secret].get("subject", {}).get("organizationalUnits")
                if units != ["worker"] or f'{made[secret]["commonName"]}-tls' != secret:
                    yield f"{name}: the Certificate of {secret} is none of its worker"


def ports_of(pod: Json) -> set[str]:
    return {port["name"] for container in pod["containers"] for port in container.get("ports", [])}


def policies(manifests: list[Json]) -> Iterator[str]:
    """Pods that no NetworkPolicy takes, where there is one at all."""
    taken = [m["spec"]["podSelector"]["matchLabels"] for m in manifests if m["kind"] == "NetworkPolicy"]
    for owner in (m for m in manifests if taken and m["kind"] in ("StatefulSet", "Deployment")):
        if not any(selects(labels, owner["spec"]["template"]["metadata"]["labels"]) for labels in taken):
            yield f'{owner["kind"]}/{owner["metadata"]["name"]}: no NetworkPolicy takes its pods'


def breaches(manifests: list[Json]) -> Iterator[str]:
    for owner in (m for m in manifests if m["kind"] in ("StatefulSet", "Deployment")):
        name = f'{owner["kind"]}/{owner["metadata"]["name"]}'
        pod = owner["spec"]["template"]["spec"]
        yield from pod_safety(name, pod)
        yield from mounts(name, owner, pod)
        if owner["kind"] == "StatefulSet":
            yield from daemon(name, pod)
        shared = [v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        claims = {claim["claimName"] for claim in shared}
        if owner["kind"] == "StatefulSet" and len(claims) != 1:
            yield f"{name}: mounts {len(claims)} shared claims, not one"
        made = {m["metadata"]["name"] for m in manifests if m["kind"] == "PersistentVolumeClaim"}
        if made and not claims <= made:
            yield f"{name}: mounts {sorted(claims - made)}, which nobody makes"
    for claim in (m for m in manifests if m["kind"] == "PersistentVolumeClaim"):
        if claim["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f'PersistentVolumeClaim/{claim["metadata"]["name"]}: uninstalling deletes it'
    yield from references(manifests)
    yield from policies(manifests)
    yield from certificates(manifests)


def main() -> int:
    manifests = [manifest for manifest in yaml.safe_load_all(sys.stdin) if manifest]
    if not any(manifest["kind"] == "StatefulSet" for manifest in manifests):
        print("error: no StatefulSet on standard input", file=sys.stderr)
        return 2
    found = list(breaches(manifests))
    print("\n".join(found) if found else f"{len(manifests)} objects keep what they promise")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
