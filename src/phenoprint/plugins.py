"""Plug-ins: classes that are found by name, those of this package and those of installed packages.

A kind of plug-in is an abstract base class and a `Registry` of its subclasses. Each subclass is a dataclass whose
fields are its parameters. Another package adds one through an entry point in its ``pyproject.toml``::

    [project.entry-points."phenoprint.segmenters"]
    my-segmenter = "my_package:MySegmenter"
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, get_type_hints

from phenoprint.errors import PhenoprintError, UnknownNameError, UsageError

__all__ = ["Registry"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Registry(Generic[T]):
    """The plug-ins of one kind by name.

    Parameters
    ----------
    kind
        What messages call a plug-in, such as ``"segmenter"``.
    base
        Class that every plug-in derives from. Where it declares ``name``, a plug-in's must be the registered one.
    group
        Entry-point group through which other packages add plug-ins: name to class.
    builtin
        Name to ``"module:Class"`` of the plug-ins of this package. A module is imported when its class is used.

    Examples
    --------
    >>> from phenoprint.segmentation import SEGMENTERS
    >>> "classical" in SEGMENTERS
    True
    >>> SEGMENTERS.make("classical", border="discard").border
    'discard'
    """

    kind: str
    base: type[T]
    group: str
    builtin: Mapping[str, str]
    _registered: dict[str, type[T]] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted, those of installed packages included."""
        return tuple(sorted({*self.builtin, *self._registered, *(point.name for point in _points(self.group))}))

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def register(self, name: str, plugin: type[T]) -> None:
        """Add a plug-in in this process only; worker processes find those of installed packages alone.

        Raises
        ------
        UsageError
            If the name is taken, or the class is no plug-in of this kind.
        """
        if self._registered.get(name) is plugin:
            return
        if name in self:
            raise UsageError(f"{self.kind} {name!r} is taken; choose another name")
        self._registered[name] = self._checked(name, plugin)

    def get(self, name: str) -> type[T]:
        """Return the class of a name.

        Raises
        ------
        UnknownNameError
            If there is none; the closest name is offered.
        UsageError
            If two packages provide the name, or its entry point cannot be loaded or is no plug-in of this kind.
        """
        points = _points(self.group, name)
        providers = [*(["phenoprint"] if name in self.builtin else []), *map(_package, points)]
        if len(providers) > 1:
            raise UsageError(
                f"{self.kind} {name!r} is provided by {' and by '.join(providers)}; uninstall all of these but one, or "
                "rename an entry point"
            )
        if points:
            return self._checked(name, self._load(name, points[0]), source=f" of {providers[0]}")
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            found: type[T] = getattr(import_module(module), attribute)
            return found
        if name not in self._registered:
            raise UnknownNameError(self.kind, name, self.names())
        return self._registered[name]

    def package(self, name: str) -> str | None:
        """Return name and version of the package that provides a plug-in; None for this one and for `register`."""
        return next(map(_package, _points(self.group, name)), None)

    def parameters(self, name: str) -> tuple[str, ...]:
        """Return the names of a plug-in's parameters.

        Raises
        ------
        UsageError
            As `get`.
        """
        return tuple(_fields(self.get(name)))

    def make(self, plugin: str | T, /, **parameters: object) -> T:
        """Make a plug-in.

        Parameters
        ----------
        plugin
            Its name, or a plug-in that is made already and is returned as it is.
        **parameters
            Its parameters. They are converted to the annotated type where no information is lost, such as a list to
            a tuple.

        Raises
        ------
        UnknownNameError
            For an unknown name or parameter; the closest is offered.
        UsageError
            For a parameter that is missing, of a wrong type or refused by the plug-in; and as `get`.
        """
        if isinstance(plugin, self.base):
            if parameters:
                what = self.base.__name__
                raise UsageError(f"parameters go into the {what} itself; found both a {what} and parameters")
            return plugin
        if not isinstance(plugin, str):
            raise UnknownNameError(self.kind, plugin, self.names())
        kind: Any = self.get(plugin)
        what = f"{self.kind} {plugin!r}"
        fields = _fields(kind)
        for key in parameters:
            if key not in fields:
                raise UnknownNameError(f"parameter of {what}", key, fields)
        missing = [key for key, field in fields.items() if _is_required(field) and key not in parameters]
        if missing:
            raise UsageError(f"{what} needs the parameter {missing[0]!r}")
        checks = _converters(kind)
        given = {}
        for key, value in parameters.items():
            try:
                given[key] = checks[key](value) if key in checks else value
            except ValueError as error:
                expected = getattr(fields[key].type, "__name__", fields[key].type)
                raise UsageError(f"parameter {key!r} of {what} must be {expected}; found {value!r}") from error
        try:
            made: T = kind(**given)
        except PhenoprintError:
            raise
        except (TypeError, ValueError) as error:
            raise UsageError(f"{what}: {error}") from error
        return made

    def _load(self, name: str, point: EntryPoint) -> object:
        try:
            return point.load()
        except Exception as error:  # another package's module may raise anything
            raise UsageError(
                f"{self.kind} {name!r} of {_package(point)} cannot be loaded from {point.value!r}: {error}; repair or "
                "uninstall that package"
            ) from error

    def _checked(self, name: str, found: object, *, source: str = "") -> type[T]:
        what = f"{self.kind} {name!r}{source}"
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise UsageError(f"{what} must be a class derived from {self.base.__qualname__}; found {found!r}")
        if "__dataclass_fields__" not in vars(found):
            raise UsageError(f"{what}: {found.__qualname__} must be a dataclass, whose fields are the parameters")
        if inspect.isabstract(found):
            missing = sorted(getattr(found, "__abstractmethods__", ()))
            raise UsageError(f"{what}: {found.__qualname__} lacks {', '.join(missing)}")
        if "name" in self.base.__annotations__ and (own := getattr(found, "name", None)) != name:
            raise UsageError(f"{what}: the attribute name of {found.__qualname__} must be the same; found {own!r}")
        return found


def _points(group: str, name: str | None = None) -> list[EntryPoint]:
    return [point for point in _installed(group, tuple(sys.path)) if name in (None, point.name)]


@lru_cache(maxsize=64)
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:  # noqa: ARG001 - `path` is what is searched
    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    return "an unnamed package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _fields(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind) if field.init}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@cache
def _converters(kind: type[Any]) -> dict[str, Callable[[object], Any]]:
    """Return what checks and converts each parameter; none for a type that only exists for type checkers."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    try:
        hints = get_type_hints(kind)
    except (AttributeError, NameError):
        return {}
    found: dict[str, Callable[[object], Any]] = {}
    for name in _fields(kind):
        try:
            found[name] = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True)).validate_python
        except PydanticUserError:  # a model or dataclass, which has a configuration of its own
            found[name] = TypeAdapter(hints[name]).validate_python
    return found
