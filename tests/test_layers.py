"""What imports what: no circles, no private names, packages through their interface."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import phenoprint

ROOT = Path(phenoprint.__file__).parent


class Import(NamedTuple):
    """One imported name, by the module that imports it."""

    importer: str
    line: int
    module: str
    name: str
    is_lazy: bool
    is_for_types: bool

    @property
    def target(self) -> str:
        """The module that is loaded: the name itself where it is a module and no function of that name is exported."""
        whole = f"{self.module}.{self.name}"
        return whole if whole in modules() and self.name not in interface(self.module) else self.module

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.name} from {self.module}"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by name."""
    named = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


@cache
def interface(module: str) -> frozenset[str]:
    """The names that a module lists in ``__all__``."""
    for node in ast.parse(modules()[module].read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one module of the package by another."""
    return tuple(found for name, path in modules().items() for found in _imports(name, ast.parse(path.read_text())))


def _imports(importer: str, tree: ast.AST, *, is_lazy: bool = False, is_for_types: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{importer}:{node.lineno}: relative import"
            if (node.module or "").split(".")[0] == "phenoprint":
                for alias in node.names:
                    yield Import(importer, node.lineno, str(node.module), alias.name, is_lazy, is_for_types)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "phenoprint":
                    module, _, name = alias.name.rpartition(".")
                    yield Import(importer, node.lineno, module, name, is_lazy, is_for_types)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for_types = is_for_types or _only_for_types(node)
            yield from _imports(importer, node, is_lazy=is_lazy or is_function, is_for_types=for_types)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def package_of(module: str) -> str:
    """The package of the first level that a module belongs to; empty for the root."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Return one circle of a graph, or an empty list."""
    state: dict[str, int] = {}

    def visit(node: str, path: list[str]) -> list[str]:
        state[node] = 1
        for other in sorted(edges.get(node, ())):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other]
            if other not in state and (found := visit(other, [*path, other])):
                return found
        state[node] = 2
        return []

    for start in sorted(edges):
        if start not in state and (found := visit(start, [start])):
            return found
    return []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    edges: dict[str, set[str]] = {}
    for found in imports():
        if not (found.is_lazy or found.is_for_types) and found.target != found.importer:
            edges.setdefault(found.importer, set()).add(found.target)
    assert len(edges) > 200
    assert circle(edges) == []


def test_no_package_imports_itself_by_way_of_others_lazy_imports_included() -> None:
    edges: dict[str, set[str]] = {}
    for found in imports():
        here, there = package_of(found.importer), package_of(found.target)
        if here and there and here != there:
            edges.setdefault(here, set()).add(there)
    assert {"cli", "pipeline", "store", "tables"} <= set(edges)
    assert circle(edges) == []


def test_private_names_stay_in_their_package() -> None:
    private = [
        str(found)
        for found in imports()
        if package_of(found.importer) != package_of(found.target)
        and any(part.startswith("_") and not part.startswith("__") for part in (*found.module.split("."), found.name))
        and found.importer != "phenoprint"
    ]
    assert private == []


def test_other_packages_are_imported_by_their_interface() -> None:
    deep = [
        str(found)
        for found in imports()
        if package_of(found.importer) not in {"", package_of(found.target)} and found.target.count(".") > 1
    ]
    assert deep == []


PACKAGES = sorted(name for name, path in modules().items() if path.name == "__init__.py")


@pytest.mark.parametrize("name", PACKAGES)
def test_the_interface_of_a_package_is_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert list(listed) == sorted(listed, key=_ruff_order), "sorted as ruff sorts: constants, classes, functions"
    assert len(listed) == len(set(listed))
    assert [entry for entry in listed if not hasattr(module, entry)] == []


def _ruff_order(name: str) -> tuple[int, str]:
    is_constant = name.isupper() and len(name) > 1
    return (0 if is_constant else 1 if name[:1].isupper() else 2), name
