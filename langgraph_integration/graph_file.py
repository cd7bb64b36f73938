"""What a ``langgraph.json`` says, as far as a worker needs it: ``graphs``, ``env`` and ``dependencies``.

The file's format is the LangGraph CLI's. What belongs to images and servers (``python_version``, ``http``, ``auth``,
``store`` and the rest) is ignored.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workflow_events.errors import ConfigurationError
from workflow_events.validation import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GraphFile", "apply_environment", "extend_path", "read_graph_file"]


_Scalar = str | bool | int | float


class _GraphDefinition(BaseModel):
    model_config = ConfigDict(extra="ignore")

    path: str = Field(min_length=1)
    description: str | None = None


class _Contents(BaseModel):
    model_config = ConfigDict(extra="ignore")

    graphs: dict[str, str | _GraphDefinition] = Field(min_length=1)
    env: dict[str, _Scalar] | str | None = None
    dependencies: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A ``langgraph.json`` that has been read; nothing of it has been acted on.

    Attributes:
        path: the file.
        graphs: where each graph stands (``module:attribute`` or ``path.py:attribute``), by its name.
        environment: variables to set.
        search_path: folders to add to ``sys.path``.
    """

    path: Path
    graphs: Mapping[str, str]
    environment: Mapping[str, str]
    search_path: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return self.path.parent


def read_graph_file(path: Path | str) -> GraphFile:
    """Read a ``langgraph.json``.

    Raises:
        ConfigurationError: it cannot be read, or what it names is not there; the message says the file and the key.
    """
    path = Path(path).resolve()
    try:
        contents = _Contents.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path}: not a langgraph.json that a worker can use: {explain(error)}") from None
    return GraphFile(
        path=path,
        graphs={name: ref if isinstance(ref, str) else ref.path for name, ref in contents.graphs.items()},
        environment=_environment(path, contents.env),
        search_path=_search_path(path, contents.dependencies),
    )


def apply_environment(file: GraphFile) -> None:
    """Set the file's variables in this process. One that is set already stays: the deployment knows better."""
    for name, value in file.environment.items():
        os.environ.setdefault(name, value)


def extend_path(folders: tuple[Path, ...]) -> None:
    """Put folders at the head of ``sys.path``, each once."""
    for folder in reversed(folders):
        text = str(folder)
        if text not in sys.path:
            sys.path.insert(0, text)


def _environment(file: Path, env: Mapping[str, _Scalar] | str | None) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, str):
        return {name: _text(value) for name, value in env.items()}
    path = file.parent / env
    if not path.is_file():
        raise ConfigurationError(f"{file}: env: there is no file {env!r}")
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _text(value: _Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _search_path(file: Path, dependencies: list[str]) -> tuple[Path, ...]:
    folders: list[Path] = []
    for dependency in dependencies:
        if dependency.startswith((".", "/")):
            folder = (file.parent / dependency).resolve()
            if not folder.is_dir():
                raise ConfigurationError(f"{file}: dependencies: there is no folder {dependency!r}")
            folders += [folder, *([folder / "src"] if (folder / "src").is_dir() else [])]
        else:
            _check_installed(file, dependency)
    return tuple(dict.fromkeys(folders))


def _check_installed(file: Path, dependency: str) -> None:
    try:
        requirement = Requirement(dependency)
    except InvalidRequirement as error:
        raise ConfigurationError(
            f"{file}: dependencies: {dependency!r} is neither a path (./folder) nor a package ({error})"
        ) from None
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(
            f"{file}: dependencies: {requirement.name} is not installed here: pip install {dependency!r}"
        ) from None
    if not requirement.specifier.contains(version, prereleases=True):
        raise ConfigurationError(
            f"{file}: dependencies: {dependency!r} is asked for, {requirement.name} {version} is installed"
        )
