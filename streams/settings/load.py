"""Reading settings, and saying everything that is wrong with them at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import shown
from schemas.wording import wanted
from streams.settings.kafka import KINDS, Topics
from streams.settings.model import NESTED, PREFIX, Environment, Settings
from streams.settings.models import STAGE_MILESTONE, Attribution, Pipeline

CONFIG_VARIABLE = "HEADWATER_CONFIG"
DEBUG_VARIABLE = "HEADWATER_DEBUG"
NOT_SETTINGS = frozenset(
    {
        CONFIG_VARIABLE,
        DEBUG_VARIABLE,
        "HEADWATER_REQUIRE_KAFKA",
        "HEADWATER_REQUIRE_PROMETHEUS",
        "HEADWATER_REQUIRE_NODE",
        "HEADWATER_KAFKA_CACHE",
        "HEADWATER_NODE_CACHE",
        "HEADWATER_SOAK",
    }
)
"""Variables with our prefix that are no settings: of the command line, and of the tests."""
SECRET = "**********"
_OF_SERVICE = re.compile(
    r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)


class Problem(NamedTuple):
    """One thing that is wrong."""

    path: str
    """Section and key, joined by dots; empty for the file as a whole."""
    value: str
    """What was given, cut to a readable length; empty when there is nothing to show, stars for a secret."""
    message: str
    """What is wrong and what to do about it."""

    def __str__(self) -> str:
        given = f" (given: {self.value})" if self.value else ""
        return f"{self.path}: {self.message}{given}" if self.path else self.message


class ConfigInvalid(Exception):
    """Settings that cannot be used; ``problems`` lists every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_settings(path: Path | None = None) -> Settings:
    """The settings in a YAML file, overridden by the environment.

    ``path`` None: the file that ``HEADWATER_CONFIG`` names, if any, else the defaults. Raises ConfigInvalid.
    """
    if path is None and os.environ.get(CONFIG_VARIABLE):
        path = Path(os.environ[CONFIG_VARIABLE])
    content = read_yaml(path) if path is not None else {}
    problems = list(_unknown_variables())
    settings = None
    try:
        settings = Settings(**content)
    except ValidationError as error:
        problems += [_problem(each) for each in error.errors(include_url=False) if not _follows(each)]
    problems += _across_sections(_overlaid(content, Environment(Settings)()))
    if settings is None or problems:
        raise ConfigInvalid(sorted(set(problems)))
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file; empty for an empty file. Raises ConfigInvalid, also for a key given twice."""
    try:
        content = yaml.load(path.read_bytes(), _Loader)
    except OSError as error:
        raise ConfigInvalid([Problem("", "", f"{path} cannot be read: {error.strerror}")]) from None
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise ConfigInvalid([Problem("", "", f"{path} is not YAML: {where}")]) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigInvalid([Problem("", "", f"{path} must hold sections, such as `kafka:`")])
    return content


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {name!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with the values of ``above``, mappings merged; as pydantic-settings lays its sources."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        nested = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _overlaid(known, value) if nested and isinstance(known, dict) else value
    return merged


def _unknown_variables() -> Iterator[Problem]:
    """Variables that set nothing; unknown keys within a section are found by validation."""
    for name, value in os.environ.items():
        if not name.upper().startswith(PREFIX) or name.upper() in NOT_SETTINGS or _by_kubernetes(name, value):
            continue
        section = name[len(PREFIX) :].split(NESTED)[0].lower()
        if section in Settings.model_fields:
            continue
        if NESTED in name:
            yield Problem(name, "", f"unknown section {section!r}{_guess(section, Settings.model_fields)}")
        else:
            yield Problem(name, "", f"sets nothing{_guess_variable(section)}")


def _guess_variable(name: str) -> str:
    """What may have been meant by a variable without a section."""
    for section in Settings.model_fields:
        key = name.removeprefix(f"{section}_")
        if key != name and key in _siblings((section, key)):
            return f": did you mean {PREFIX}{section.upper()}{NESTED}{key.upper()}?"
    close = difflib.get_close_matches(name, list(Settings.model_fields), 1)
    if close:
        return f": did you mean {PREFIX}{close[0].upper()}?"
    return f": variables are named {PREFIX}<SECTION>{NESTED}<KEY>"


def _by_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes has set it: every pod is told of every service, one called headwater too."""
    return _OF_SERVICE.search(name) is not None or (name.endswith("_PORT") and "://" in value)


def _across_sections(content: Mapping[str, Any]) -> list[Problem]:
    """What only several sections together show; a section that is wrong in itself is left out."""
    return [*_unknown_stages(content), *_repeated_pipelines(content), *_unknown_names(content)]


def _unknown_stages(content: Mapping[str, Any]) -> Iterator[Problem]:
    attribution = _section("attribution", Attribution, content)
    pipelines = _section("pipelines", tuple[Pipeline, ...], content)
    if attribution is None or pipelines is None:
        return
    stages = {stage.name for each in pipelines for stage in each.stages if stage.kind == "open"}
    for model, weights in attribution.custom.items():
        for milestone in weights:
            stage = milestone.removeprefix(STAGE_MILESTONE)
            if milestone != stage and stage not in stages:
                message = f"stage {stage!r} is no open stage of any pipeline{_guess(stage, stages)}"
                yield Problem(f"attribution.custom.{model}.{milestone}", "", message)


def _unknown_names(content: Mapping[str, Any]) -> Iterator[Problem]:
    """Stages and pipelines that the table of a source topic names."""
    topics = _section("topics", Topics, content)
    pipelines = _section("pipelines", tuple[Pipeline, ...], content)
    if topics is None or pipelines is None:
        return
    known = {
        "stages": {stage.name for each in pipelines for stage in each.stages},
        "pipelines": {each.name for each in pipelines},
    }
    for kind in KINDS:
        for place, source in enumerate(getattr(topics, kind)):
            for option, names in known.items():
                for theirs, ours in (getattr(source, option) or {}).items():
                    if ours not in names:
                        message = f"{ours!r} is not among pipelines{_guess(ours, names)}"
                        yield Problem(f"topics.{kind}.{place}.{option}.{theirs}", "", message)


def _repeated_pipelines(content: Mapping[str, Any]) -> Iterator[Problem]:
    names = [each.name for each in _section("pipelines", tuple[Pipeline, ...], content) or ()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("pipelines", name, "is there twice: rename or remove one")


def _section(name: str, kind: Any, content: Mapping[str, Any]) -> Any:
    """The section, its default where nothing is given; None when it is wrong."""
    if name not in content:
        return Settings.model_fields[name].get_default(call_default_factory=True)
    try:
        return TypeAdapter(kind).validate_python(content[name])
    except ValidationError:
        return None


def _follows(error: ErrorDetails) -> bool:
    """Whether an error only says that a list is empty without its elements that are wrong themselves."""
    return error["type"] == "too_short" and bool(error["input"])


def _problem(error: ErrorDetails) -> Problem:
    path = ".".join(str(part) for part in error["loc"])
    secret = _is_secret(error["loc"])
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return Problem(path, "", f"unknown key{_guess(str(error['loc'][-1]), _siblings(error['loc']))}")
    if kind == "missing":
        return Problem(path, "", "is required: add it")
    ours = "value_error", "assertion_error"
    message = error["msg"].removeprefix("Value error, ") if kind in ours else wanted([error], "must")
    # a section as a whole would show its secrets
    value = "" if isinstance(given, dict | BaseModel) else SECRET if secret else shown(given)
    return Problem(path, value, message)


def _guess(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    if close:
        return f": did you mean {close[0]}?"
    return f": use one of {', '.join(sorted(known))}" if known else ": remove it"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section of a location knows."""
    model = _model_at(location[:-1])
    return list(model.model_fields) if model is not None else []


def _is_secret(location: tuple[int | str, ...]) -> bool:
    model = _model_at(location[:-1])
    field = model.model_fields.get(str(location[-1])) if model is not None else None
    return field is not None and _holds_secret(field.annotation)


def _holds_secret(annotation: Any) -> bool:
    parts = _parts(annotation)
    models = [each for each in parts if isinstance(each, type) and issubclass(each, BaseModel)]
    inner = (field.annotation for model in models for field in model.model_fields.values())
    return SecretStr in parts or any(map(_holds_secret, inner))


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Settings
    for part in location:
        if isinstance(part, int):
            continue  # an index: the model is that of the list's elements
        field = model.model_fields.get(part) if model is not None else None
        if field is None:
            return None
        models = [
            each
            for each in _parts(field.annotation)
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        model = models[0] if models else None
    return model


def _parts(annotation: Any) -> list[Any]:
    """A type and everything it is made of."""
    return [annotation, *(part for each in get_args(annotation) for part in _parts(each))]
