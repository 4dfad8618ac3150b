"""Which modules import which, and which a call of fastsw passes on its way to the arithmetic."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

import fastsw
from fastsw._cpu.runtime.compile import _Kernel

_ROOT = Path(fastsw.__file__).parents[1]


def modules(package: str = "fastsw") -> dict[str, Path]:
    """Name of each module of a package of ours, and where it lies."""
    found = {}
    for path in sorted((_ROOT / package).rglob("*.py")):
        parts = path.relative_to(_ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> set[str]:
    """The known modules that a module imports, anywhere in it but for type checkers alone."""
    found = set()
    for node in _statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else f"{node.module}")
    return found & known


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, what only type checkers see left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _statements(child)


def chains(
    call: Callable[[], Any],
    room: str = "fastsw._cpu.kernels",
    run: Callable = _Kernel.compiled,
    function: str = "_function",
) -> list[tuple[str, ...]]:
    """The modules that a call passes from the public function to the arithmetic of each kernel.

    First those on the stack when the kernel is run, then the longest chain from the kernel's own
    function through functions that it calls, as far as they lie in the kernels' room. A module that
    is entered several times in a row counts once. What Numba generates around a kernel has no
    frame, and does not count.

    ``run`` is the method that runs a kernel, and ``function`` the kernel's field of what it runs.
    """
    found: dict[Any, tuple[str, ...]] = {}

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is run.__code__:
            kernel, stack = frame.f_locals["self"], _stack(frame.f_back)
            found[kernel] = max(found.get(kernel, ()), stack, key=len)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
    return [stack + longest(getattr(kernel, function), room) for kernel, stack in found.items()]


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    """The modules of fastsw on a stack, the outermost first."""
    names = []
    while frame is not None:
        names.append(frame.f_globals.get("__name__", ""))
        frame = frame.f_back
    return _joined(name for name in reversed(names) if name.startswith("fastsw."))


def _joined(names) -> tuple[str, ...]:
    """Names, each once where it comes several times in a row."""
    found: list[str] = []
    for name in names:
        if found[-1:] != [name]:
            found.append(name)
    return tuple(found)


def longest(function: FunctionType, room: str) -> tuple[str, ...]:
    """The longest chain of modules from a function through functions of a room that it calls."""
    found: dict[FunctionType, tuple[str, ...]] = {}

    def of(function: FunctionType) -> tuple[str, ...]:
        if function not in found:
            own = (function.__module__,)
            found[function] = own  # for a field of a record that is named like the function
            below = [of(f) for f in called_by(function) if f.__module__.startswith(f"{room}.")]
            found[function] = max((_joined((*own, *b)) for b in below), key=len, default=own)
        return found[function]

    return of(function)


def called_by(function: FunctionType) -> list[FunctionType]:
    """The functions that a function of a kernel can call: what it closes over, and its globals."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    named = {**function.__globals__, **{name: cell.cell_contents for name, cell in cells.items()}}
    code = function.__code__
    names = {*code.co_names, *code.co_freevars}
    values = [named[name] for name in sorted(names) if name in named]
    values += [
        getattr(module, name)
        for module in values
        if isinstance(module, ModuleType)
        for name in sorted(names)
        if hasattr(module, name)
    ]
    return [f for value in values for f in _functions(value)]


def _functions(value: Any) -> Iterator[FunctionType]:
    """Plain functions of what a kernel can name: a function, one that is compiled, or a record."""
    value = getattr(value, "py_func", value)
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, SimpleNamespace):
        for inner in vars(value).values():
            yield from _functions(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _functions(inner)
