"""The settings of a class, read from its source without importing what its module imports.

A command checks its settings before it imports torch and Lightning, which takes seconds. The
classes that take the settings need both, so the source of their constructors is reduced to the
signature and the checks at its beginning, before `self` is used. Light records that commands and
classes share would repeat every signature, as the classes are called by keywords and documented
by them; and of Lightning's trainer there is none.
"""

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

_LIGHT = {"numpy", "yaml", "av", *sys.stdlib_module_names}


class Unknown:
    """Stands for anything from a module that is not imported: a type that takes any value."""

    def __init__(self, *args: object, **settings: object):
        """Accept anything."""

    def __class_getitem__(cls, item: object) -> type["Unknown"]:
        """Return the type itself, whatever its parameters."""
        return cls


@dataclass(frozen=True)
class Sketch:
    """The settings of a class.

    Attributes
    ----------
    parameters : mapping of str to inspect.Parameter
        Types and defaults by name.
    descriptions : mapping of str to str
        From its documentation, a line each.
    check : callable
        Takes settings as the class does and raises a ValueError where it would.
    """

    parameters: Mapping[str, inspect.Parameter]
    descriptions: Mapping[str, str]
    check: Callable[..., object]


def sketch(cls: Callable[..., object]) -> Sketch:
    """Return the sketch of a class that is imported."""
    return Sketch(inspect.signature(cls).parameters, _descriptions(inspect.getdoc(cls) or ""), cls)


@cache
def sketch_of(module: str, name: str) -> Sketch:
    """Return the sketch of a class by the name of its module, which is not imported.

    Parameters
    ----------
    module : str
        Its dotted name; of a package, what it imports from its modules is found too.
    name : str
        Of the class.
    """
    source = _Source.of(module)
    owner, node = source.find(name)
    assert isinstance(node, ast.ClassDef)
    init = next(s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__")
    statements = [s for s in init.body if not _mentions(s, "super")]
    init.body = list(takewhile(lambda s: not _mentions(s, "self"), statements)) or [ast.Pass()]
    init.args.args = []
    init.decorator_list = []
    init.returns = None
    own = {argument.arg for argument in init.args.kwonlyargs}
    check = owner.evaluate(init, apart_from=own)
    parameters = inspect.signature(check).parameters
    return Sketch(parameters, _descriptions(ast.get_docstring(node) or ""), check)


def _mentions(statement: ast.stmt, name: str) -> bool:
    """Tell whether a statement uses a name."""
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(statement))


class _Source:
    """The source of a module."""

    def __init__(self, module: str, file: Path):
        self.module = module
        self.tree = ast.parse(file.read_text())
        self._defined = dict(_definitions(self.tree.body))

    @classmethod
    @cache
    def of(cls, module: str) -> "_Source":
        """Read a module; of another package than lac, without importing any of it."""
        package, *rest = module.split(".")
        spec = find_spec(module if package == "lac" else package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        file = Path(spec.origin)
        return cls(
            module, file if package == "lac" else file.parent.joinpath(*rest).with_suffix(".py")
        )

    def find(self, name: str) -> tuple["_Source", ast.stmt | None]:
        """Return the source and the statement that defines a name, following imports in lac."""
        statement = self._defined.get(name)
        if isinstance(statement, ast.ImportFrom) and _is_own(statement.module):
            original = next(a.name for a in statement.names if name in (a.asname, a.name))
            return _Source.of(str(statement.module)).find(original)
        return self, statement

    def resolve(self, name: str) -> Any:
        """Return what a name refers to: imported from a light module, else a stand-in."""
        owner, statement = self.find(name)
        if isinstance(statement, ast.Import):
            module = statement.names[0].name
            return import_module(module) if module in _LIGHT else Unknown
        if isinstance(statement, ast.ImportFrom):
            module = str(statement.module)
            light = module.partition(".")[0] in _LIGHT
            return getattr(import_module(module), name) if light else Unknown
        if _is_light(owner.module):
            return getattr(import_module(owner.module), name)
        if isinstance(statement, ast.Assign):  # a type by another name
            return owner.evaluate(statement.value)
        return Unknown

    def evaluate(self, node: ast.expr | ast.FunctionDef, *, apart_from: Iterable[str] = ()) -> Any:
        """Evaluate an expression, or define a function, with the names of the module."""
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        used = {n.id for n in names} - {n.id for n in names if isinstance(n.ctx, ast.Store)}
        used -= {*apart_from, *dir(builtins)}
        namespace = {name: self.resolve(name) for name in used}
        if isinstance(node, ast.expr):
            return eval(compile(ast.Expression(node), self.module, "eval"), namespace)
        exec(compile(ast.Module([node], []), self.module, "exec"), namespace)
        return namespace[node.name]


def _definitions(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield each name that statements define, with its statement."""
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, statement) for alias in statement.names)
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Assign):
            yield from ((t.id, statement) for t in statement.targets if isinstance(t, ast.Name))
        elif isinstance(statement, ast.If):  # of what is imported for the types alone
            yield from _definitions(statement.body)


def _is_own(module: str | None) -> bool:
    """Tell whether a module is of lac."""
    return (module or "").partition(".")[0] == "lac"


@cache
def _is_light(module: str) -> bool:
    """Tell whether importing a module of lac imports nothing that takes long."""
    return all(
        name.partition(".")[0] in _LIGHT or (_is_own(name) and _is_light(name))
        for name in _imports(_Source.of(module).tree)
    )


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that are imported along with one."""
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield str(statement.module)


def _descriptions(documentation: str) -> dict[str, str]:
    """Return what a numpydoc text says of each parameter, a line each."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S+\n-+\n|\Z)", documentation, re.M | re.S)
    found: dict[str, str] = {}
    if section is None:
        return found
    for entry in re.finditer(r"^(\S[^:\n]*) : .*\n((?:    .*\n?)*)", section[1], re.M):
        for name in entry[1].split(", "):
            found[name] = " ".join(entry[2].split())
    return found
