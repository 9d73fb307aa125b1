"""Reads each board into the types of grafana-foundation-sdk and writes it again: no field may be lost or changed.

Usage: sdk_round_trip.py BOARD.json...  Exits with 1 and the paths of what differs.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(before, after, path=""):
    """Of what stands in `before`; the SDK may add its defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key} is lost"
            else:
                yield from differences(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after)):
            yield from differences(old, new, f"{path}[{i}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


register_default_plugins()
found = []
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as stream:
        board = json.load(stream)
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    if len(again["panels"]) != len(board["panels"]):
        found.append(f"{file}: panels are lost")
    found += [f"{file}: {difference}" for difference in differences(board, again)]
print("\n".join(found) if found else f"{len(sys.argv) - 1} boards")
sys.exit(1 if found or len(sys.argv) < 2 else 0)
