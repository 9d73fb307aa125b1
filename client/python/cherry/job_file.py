"""Job files: YAML documents that map one to one to cherry.specs.JobSpec."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any, Iterable

import yaml

from cherry import errors, specs


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: `1e-3` is a number and `no` is text, as the command `cherry` reads them; no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"{twice}: given twice: remove one of them", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *_Loader.yaml_implicit_resolvers.get(first, [])]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
}


def read(path: str | os.PathLike[str]) -> list[specs.JobSpec]:
    """The documents of a file; raises SpecError with the file, the document's number and the field."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise errors.SpecError(str(path), str(error), "name a file that this user may read") from None
    return parse(text, where=str(path))


def parse(text: str, *, where: str = "job file") -> list[specs.JobSpec]:
    try:
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.YAMLError as error:
        raise errors.SpecError(where, str(error), "write YAML") from None
    if not documents:
        raise errors.SpecError(where, "has no job in it", "start with `kind: pretrain`")
    jobs = []
    for number, document in enumerate(documents, 1):
        try:
            jobs.append(specs.JobSpec.from_dict(document))
        except errors.SpecError as error:
            at = where if len(documents) == 1 else f"{where}, document {number}"
            raise errors.SpecError(f"{at}: {error.field}", error.what, error.remedy) from None
    return jobs


def write(jobs: Iterable[specs.JobSpec]) -> str:
    """YAML that `cherry submit` and read() take, a document a job."""
    return yaml.dump_all([job.to_dict() for job in jobs], Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def pipeline_name(path: str | os.PathLike[str]) -> str:
    """As the command names it: `Ko mini.yaml` is ko-mini, `1-recovery.yaml` is pipeline-1-recovery."""
    stem = re.sub("[A-Z]", lambda letter: letter.group().lower(), pathlib.Path(path).stem)
    name = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")
    return (name if name[:1].isalpha() else f"pipeline-{name}")[:63].rstrip("-")
