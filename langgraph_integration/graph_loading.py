"""How a reference to a graph becomes the object it refers to."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from workflow_events.errors import ConfigurationError

__all__ = ["load_object"]


def load_object(reference: str, *, folder: Path, where: str) -> object:
    """The object at ``module:attribute`` or ``path/to/file.py:attribute``.

    Args:
        folder: where relative paths begin.
        where: what to begin an error's message with, such as the file and the key that the reference stands under.

    Raises:
        ConfigurationError: there is no such thing, or importing it fails.
    """
    place, separator, attribute = reference.rpartition(":")
    if not separator or not place or not attribute:
        raise ConfigurationError(
            f"{where}: {reference!r} does not say where the graph is: give module:attribute or path/to/file.py:attribute"
        )
    if place.endswith((".ts", ".tsx", ".js", ".mjs", ".cjs", ".mts", ".cts")):
        raise ConfigurationError(f"{where}: {place!r} is JavaScript, and this worker runs Python graphs only")
    if place.endswith(".py") or "/" in place or "\\" in place:
        module = _load_file((folder / place).resolve(), place, where)
    else:
        module = _load_module(place, where)
    found: object = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            known = [name for name in vars(module) if not name.startswith("_")]
            raise ConfigurationError(
                f"{where}: {place} has no {attribute!r}; it has {', '.join(known) or 'no public name'}"
            ) from None
    return found


def _load_module(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"{where}: there is no module {error.name!r}: install its package, or list its folder under "
                "dependencies"
            ) from error
        raise _failed(name, where, error) from error
    except Exception as error:
        raise _failed(name, where, error) from error


def _load_file(path: Path, shown: str, where: str) -> ModuleType:
    if not path.is_file():
        raise ConfigurationError(f"{where}: there is no file {shown!r} (looked for {path})")
    # The same file under two references is one module; two files with one name are two.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{where}: {shown!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pydantic look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(shown, where, error) from error
    return module


def _failed(place: str, where: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{where}: importing {place} failed: {type(error).__name__}: {error}")
