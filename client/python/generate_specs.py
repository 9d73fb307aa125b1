"""Writes cherry/specs.py: a dataclass for each message of a job file, with the proto's comments.

generate(descriptors): the module's text; `descriptors` is a serialised FileDescriptorSet of job.proto with comments.
"""

import keyword
import textwrap

from google.protobuf import descriptor_pb2

Field = descriptor_pb2.FieldDescriptorProto

HEADER = '''"""Job files as dataclasses, made from proto/cherry/v1/job.proto: do not edit.

A field that is None is not given and has the coordinator's default. Names are those of the job file; `from_` and
`continue_` stand for `from` and `continue`, which Python keeps for itself.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal

from cherry import conversion
from cherry.v1 import job_pb2

'''
SCALARS = {
    Field.TYPE_STRING: "str", Field.TYPE_BOOL: "bool", Field.TYPE_DOUBLE: "float",
    Field.TYPE_INT32: "int", Field.TYPE_INT64: "int",
}
# What a job file writes shorter than the message.
SHORT = {
    ".google.protobuf.Duration": "str | datetime.timedelta",
    ".cherry.v1.RankRange": "int | RankRange",
    ".cherry.v1.Matrix": "dict[str, Any]",
}


class Comments:
    """Leading and trailing comments of a file, by the path of what they belong to."""

    def __init__(self, file):
        self._text = {}
        for location in file.source_code_info.location:
            text = (location.leading_comments + location.trailing_comments).strip()
            if text:
                self._text[tuple(location.path)] = " ".join(line.strip() for line in text.splitlines())

    def of(self, *path):
        return self._text.get(path, "")


def docstring(text, indent):
    if not text:
        return ""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = textwrap.wrap(text, 110 - len(indent), break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return f'{indent}"""{lines[0]}"""\n'
    return f'{indent}"""' + f"\n{indent}".join(lines) + f'\n{indent}"""\n'


def enums(file):
    """Full name of each enum: its values as a job file writes them."""
    found = {}
    for message in file.message_type:
        for enum in message.enum_type:
            values = [v.name.lower() for v in enum.value if not v.name.endswith("_UNSPECIFIED")]
            found[f".cherry.v1.{message.name}.{enum.name}"] = values
    return found


def annotation(field, message, values):
    if field.type == Field.TYPE_ENUM:
        plain = "Literal[" + ", ".join(f'"{v}"' for v in values[field.type_name]) + "]"
    elif field.type == Field.TYPE_MESSAGE:
        entry = next((n for n in message.nested_type if field.type_name.endswith(f".{message.name}.{n.name}")), None)
        if entry is not None and entry.options.map_entry:
            return "dict[str, str]"
        plain = SHORT.get(field.type_name, field.type_name.rpartition(".")[2])
    else:
        plain = SCALARS[field.type]
    return f"list[{plain}]" if field.label == Field.LABEL_REPEATED else plain


def write_message(message, index, comments, values):
    text = f"@dataclasses.dataclass(kw_only=True)\nclass {message.name}(conversion.Spec):\n"
    text += docstring(comments.of(4, index), "    ") or f'    """`{message.name}` of a job file."""\n'
    text += "\n"
    for place, field in enumerate(message.field):
        comment = comments.of(4, index, 2, place)
        if comment.startswith("Output only"):
            continue
        name = field.name + "_" if keyword.iskeyword(field.name) else field.name
        text += f"    {name}: {annotation(field, message, values)} | None = None\n{docstring(comment, '    ')}"
    text += f"\n    _message = job_pb2.{message.name}\n"
    return text


def generate(descriptors):
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors)
    file = files.file[0]
    comments, values = Comments(file), enums(file)
    chosen = [(i, m) for i, m in enumerate(file.message_type) if m.name != "Matrix"]
    return HEADER + "\n\n".join(write_message(m, i, comments, values) for i, m in chosen)
