"""Look-up of method classes in files, also from another process."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, cast

from stbench.conformance.outcome import NotApplicableError
from stbench.errors import UserError
from stbench.nn import Method


class Location(NamedTuple):
    """Where a class is defined: an importable module or a file."""

    module: str
    file: str
    qualname: str


def locate(method: type[Method]) -> Location:
    """Return where another process can find a class.

    Raises:
        NotApplicableError: it is defined inside a function or at an interactive prompt.
    """
    file = inspect.getsourcefile(method) if not _is_interactive(method) else None
    if file is None or "<locals>" in method.__qualname__:
        raise NotApplicableError(
            f"{method.__qualname__} is not defined at the top level of a file, so another process cannot import it"
        )
    return Location(method.__module__, file, method.__qualname__)


def find_class(location: Location) -> type[Method]:
    """Import the class at a location."""
    try:
        module = importlib.import_module(location.module)
        if Path(module.__file__ or "") != Path(location.file):
            raise ImportError
    except ImportError:
        module = load_module(Path(location.file))
    found: object = module
    for part in location.qualname.split("."):
        found = getattr(found, part)
    return cast("type[Method]", found)


def methods_in_file(path: Path) -> list[type[Method]]:
    """Return the method classes that a file defines, without base classes of others in it.

    A folder stands for its package, or for the module of the same name in it.

    Raises:
        UserError: the file is missing, cannot be imported, or defines none.
    """
    path = _module_of(path) if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path} is not a file. Give a Python file with a Method class, or a registered name.")
    try:
        module = load_module(path)
    except Exception as error:
        raise UserError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    own = [value for value in vars(module).values() if _is_own(value, module)]
    leaves = [cls for cls in own if not any(other is not cls and issubclass(other, cls) for other in own)]
    if not leaves:
        raise UserError(f"{path} defines no subclass of stbench.Method. Write class MyMethod(stbench.Method): …")
    return leaves


def _module_of(folder: Path) -> Path:
    """Return the file of a package, or of a module in a folder of the same name (as ``stbench new-method`` writes)."""
    package, module = folder / "__init__.py", folder / f"{folder.absolute().name}.py"
    return module if module.is_file() and not package.is_file() else package


def load_module(path: Path) -> ModuleType:
    """Import a file, or a package by its ``__init__.py``, under a unique name; it may import modules beside it."""
    path = path.resolve()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


def _is_own(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__


def _is_interactive(method: type[Method]) -> bool:
    module = sys.modules.get(method.__module__)
    return module is None or getattr(module, "__file__", None) is None
