"""Checks custom resources against the definitions that their makers ship; a field that those do not know is an error.

Usage: custom_resources.py FOLDER_OF_DEFINITIONS < MANIFESTS
"""

import pathlib
import sys
from typing import Any

import jsonschema
import yaml


def strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        result["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    return result


def main(folder: str) -> int:
    schemas = {}
    for path in pathlib.Path(folder).glob("*.yaml"):
        definition = yaml.safe_load(path.read_text())["spec"]
        for version in definition["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[f"{definition['group']}/{version['name']}", definition["names"]["kind"]] = schema
    checked = 0
    for manifest in yaml.safe_load_all(sys.stdin):
        schema = schemas.get((manifest["apiVersion"], manifest["kind"])) if manifest else None
        if schema is not None:
            jsonschema.validate(manifest, schema)
            checked += 1
    print(f"{checked} custom resources are what {len(schemas)} definitions say")
    return 0 if checked else 1


sys.exit(main(sys.argv[1]))
