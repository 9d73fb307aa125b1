"""Between dataclasses, the mappings that a job file is made of, and the API's messages.

Every mistake is a SpecError that names the field by its path, the value and the remedy, before anything is sent.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import math
import numbers
import re
import typing
from typing import Any, ClassVar, Mapping, TypeVar

from google.protobuf import duration_pb2, struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cherry import errors
from cherry.v1 import job_pb2

S = TypeVar("S", bound="Spec")
Field = Any  # A FieldDescriptor of whichever implementation protobuf has loaded.
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


_SPECS: dict[str, type[Spec]] = {}  # By the message's full name.


@dataclasses.dataclass(kw_only=True)
class Spec:
    """What all of cherry.specs have: to and from mappings, to a message."""

    _message: ClassVar[type[Message]]

    def __init_subclass__(cls) -> None:
        _SPECS[cls._message.DESCRIPTOR.full_name] = cls

    def to_dict(self) -> dict[str, Any]:
        """As a job file has it: what is None is left out."""
        plain = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                plain[field.name.rstrip("_")] = _plain(value)
        return plain

    @classmethod
    def from_dict(cls: type[S], mapping: Mapping[str, Any]) -> S:
        """Of a job file's mapping; raises SpecError where a key or a value is wrong."""
        fill(cls._message(), mapping)
        return _from_dict(cls, mapping)

    def to_message(self) -> Message:
        """Raises SpecError."""
        message = self._message()
        fill(message, self.to_dict())
        return message


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if isinstance(value, datetime.timedelta):
        microseconds = value // datetime.timedelta(microseconds=1)
        return f"{microseconds}us" if microseconds % 1_000_000 else f"{microseconds // 1_000_000}s"
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)  # Of numpy too.


def _from_dict(cls: type[S], mapping: Mapping[str, Any]) -> S:
    hints = typing.get_type_hints(cls)
    arguments = {}
    for field in dataclasses.fields(cls):
        key = field.name.rstrip("_")
        if key in mapping:
            arguments[field.name] = _typed(_spec_of(hints[field.name]), mapping[key])
    return cls(**arguments)


def _spec_of(hint: Any) -> type[Spec] | None:
    """The dataclass within `X | None` or `list[X] | None`."""
    if isinstance(hint, type) and issubclass(hint, Spec):
        return hint
    return next((spec for part in typing.get_args(hint) if (spec := _spec_of(part))), None)


def _typed(spec: type[Spec] | None, value: Any) -> Any:
    if spec is None:
        return value
    if isinstance(value, list):
        return [_typed(spec, element) for element in value]
    return _from_dict(spec, value) if isinstance(value, Mapping) else value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _wrong(path: str, value: Any, what: str, remedy: str) -> errors.SpecError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return errors.SpecError(path, f"{shown} {what}", remedy)


def _keys(message: Message) -> list[str]:
    """What a job file may say of a message: the fields of its dataclass, which leaves out what is output only."""
    return [field.name.rstrip("_") for field in dataclasses.fields(_SPECS[message.DESCRIPTOR.full_name])]


def fill(message: Message, mapping: Mapping[str, Any], path: str = "") -> None:
    """Puts what a job file says into `message`; raises SpecError."""
    if not isinstance(mapping, Mapping):
        raise _wrong(path or "job", mapping, "is not a mapping", "give keys and values")
    fields = {key: message.DESCRIPTOR.fields_by_name[key] for key in _keys(message)}
    for key, value in mapping.items():
        at = _join(path, str(key))
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, 1)
            remedy = f"use {_join(path, near[0])}" if near else f"the keys here are {', '.join(fields)}"
            raise errors.SpecError(at, "unknown key", remedy)
        if value is None:
            continue  # Not given.
        try:
            _set(message, fields[key], value, at)
        except (ValueError, OverflowError) as error:
            raise _wrong(at, value, f"cannot be used ({error})", "give another value") from None


def _set(message: Message, field: Field, value: Any, path: str) -> None:
    target = getattr(message, field.name)
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        if not isinstance(value, Mapping):
            raise _wrong(path, value, "is not a mapping", "write {key: value}")
        for key, text in value.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise _wrong(_join(path, str(key)), text, "is not text", "put it in quotes")
            target[key] = text
    elif field.is_repeated:
        if not isinstance(value, (list, tuple)):
            raise _wrong(path, value, "is not a list", "write [FIRST, SECOND]")
        for i, element in enumerate(value):
            if kind is not None:
                fill(target.add(), element, f"{path}[{i}]")
            else:
                target.append(_scalar(field, element, f"{path}[{i}]"))
    elif kind is None:
        setattr(message, field.name, _scalar(field, value, path))
    else:
        target.SetInParent()
        _set_message(target, value, path)


def _set_message(target: Message, value: Any, path: str) -> None:
    if isinstance(target, duration_pb2.Duration):
        target.FromTimedelta(_duration(value, path))
    elif isinstance(target, job_pb2.RankRange) and not isinstance(value, Mapping):
        number = _scalar(target.DESCRIPTOR.fields_by_name["min"], value, path)
        target.min = target.max = number
    elif isinstance(target, job_pb2.Matrix):
        _set_matrix(target, value, path)
    else:
        fill(target, value, path)


def _set_matrix(matrix: job_pb2.Matrix, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "is not a mapping", "write {train.seed: [1, 2, 3]}")
    for key, element in value.items():
        at = _join(path, str(key))
        if key == "max_parallel":
            matrix.max_parallel = _scalar(matrix.DESCRIPTOR.fields_by_name[key], element, at)
            continue
        if not isinstance(element, (list, tuple)) or not (element or key in ("include", "exclude")):
            raise _wrong(at, element, "is not a list of values", "write [FIRST, SECOND]")
        if key in ("include", "exclude"):
            for combination in element:
                if not isinstance(combination, Mapping):
                    raise _wrong(at, combination, "is not a mapping", "write [{train.seed: 1}]")
                getattr(matrix, key).add().update(
                    {name: _axis_value(str(name), value, at) for name, value in combination.items()})
        else:
            values = struct_pb2.ListValue()
            values.extend([_axis_value(str(key), one, at) for one in element])
            matrix.axes[key].CopyFrom(values)


def _axis_value(name: str, value: Any, path: str) -> Any:
    """Checked by setting it in a spec that is thrown away."""
    if isinstance(value, (Mapping, list, tuple)):
        raise _wrong(path, value, "is not a single value", "write [FIRST, SECOND]")
    nested: Any = value
    for part in reversed(name.split(".")):
        nested = {part: nested}
    try:
        fill(job_pb2.JobSpec(), nested)
    except errors.SpecError as error:
        raise errors.SpecError(path, error.what, error.remedy) from None
    return value


def _duration(value: Any, path: str) -> datetime.timedelta:
    if isinstance(value, datetime.timedelta):
        return value
    parts = re.findall(r"([0-9]+\.?[0-9]*|\.[0-9]+)(us|ms|h|m|s)", value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise _wrong(path, value, "is not a duration", "write a number with its unit: 90s, 15m, 12h, 1h30m")
    return datetime.timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def seconds(text: str) -> float:
    """Of a flag: `30s`, `2m`, or a number of seconds; raises ValueError."""
    try:
        return float(text)
    except ValueError:
        try:
            return _duration(text, "timeout").total_seconds()
        except errors.SpecError as error:
            raise ValueError(str(error)) from None


def _scalar(field: Field, value: Any, path: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        names = [v.name.lower() for v in field.enum_type.values if not v.name.endswith("_UNSPECIFIED")]
        if value not in names:
            near = difflib.get_close_matches(str(value), names, 1)
            raise _wrong(path, value, f"is not one of {', '.join(names)}", f"use {near[0] if near else 'one of them'}")
        return field.enum_type.values_by_name[value.upper()].number
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        # A checkpoint is `best`, `latest` or a step: the one text that is often a number.
        if isinstance(value, int) and not isinstance(value, bool) and field.name == "checkpoint":
            return str(value)
        if not isinstance(value, str):
            raise _wrong(path, value, "is not text", "put it in quotes")
        return value
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise _wrong(path, value, "is neither true nor false", "give True or False")
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise _wrong(path, value, "is not a number", "give a number such as 300")
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return float(value)
    bound = 2**31 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 2**63
    whole = int(value) if isinstance(value, numbers.Integral) else int(float(value))
    if whole != value or not -bound <= whole < bound:
        raise _wrong(path, value, "is not a whole number in range", f"give one of at most {bound - 1}")
    return whole
