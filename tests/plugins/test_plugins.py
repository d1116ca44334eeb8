from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.features import FAMILIES
from phenoprint.images import READERS
from phenoprint.plugins import Registry
from phenoprint.profiles import NORMALIZERS
from phenoprint.segmentation import SEGMENTERS


class Lens(ABC):
    """A kind of plug-in."""

    @abstractmethod
    def power(self) -> float: ...


@dataclass(frozen=True)
class Thin(Lens):
    focus: float
    tint: tuple[str, ...] = ()
    count: int | None = None

    def __post_init__(self) -> None:
        if self.focus == 0:
            raise ValueError("focus must not be 0")

    def power(self) -> float:
        return 1 / self.focus


@dataclass(frozen=True)
class Unfinished(Lens):
    pass


class NoDataclass(Thin):
    pass


class Named(ABC):
    name: ClassVar[str]


@dataclass(frozen=True)
class Other(Named):
    name: ClassVar[str] = "other"


@pytest.fixture
def lenses() -> Registry[Lens]:
    made: Registry[Lens] = Registry("lens", Lens, "phenoprint.test_lenses", {})
    made.register("thin", Thin)
    return made


THICK = """
from dataclasses import dataclass

from phenoprint.segmentation import Segmenter


@dataclass(frozen=True)
class Thick(Segmenter):
    depth: int = 1

    def segment(self, pixels, *, channels, pixel_size_um=None):
        return {}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a package with an entry point where Python finds it."""

    def put(target: str, *, name: str = "thick", package: str = "thick-lens") -> None:
        folder = tmp_path / package
        about = folder / f"{package.replace('-', '_')}-1.2.dist-info"
        about.mkdir(parents=True)
        (folder / "thick_lens.py").write_text(THICK)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (about / "entry_points.txt").write_text(f"[phenoprint.segmenters]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(folder)

    yield put
    sys.modules.pop("thick_lens", None)


@pytest.mark.parametrize("registry", [FAMILIES, NORMALIZERS, READERS, SEGMENTERS], ids=lambda each: each.kind)
def test_every_builtin_is_a_plug_in_of_its_kind_and_works_without_parameters(registry: Registry) -> None:
    assert registry.names() == tuple(sorted(registry.builtin))
    for name in registry.names():
        assert name in registry
        assert issubclass(registry.get(name), registry.base)
        assert isinstance(registry.make(name), registry.get(name))
        assert registry.package(name) is None


def test_registries_import_no_plug_in_before_it_is_used() -> None:
    code = (
        "import sys, phenoprint.segmentation.protocol, phenoprint.images.readers.reader, phenoprint.features.family; "
        "import phenoprint.profiles.normalizers; "
        "heavy = {'numba', 'sklearn', 'pydantic', 'phenoprint.features.texture'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parameters_are_checked_and_converted(lenses: Registry[Lens]) -> None:
    assert lenses.make("thin", focus=2, tint=["red"]) == Thin(2.0, ("red",))
    assert lenses.parameters("thin") == ("focus", "tint", "count")
    with pytest.raises(UnknownNameError, match="parameter of lens 'thin' 'focos'; did you mean 'focus'"):
        lenses.make("thin", focos=2)
    with pytest.raises(UsageError, match="lens 'thin' needs the parameter 'focus'"):
        lenses.make("thin")
    with pytest.raises(UsageError, match="parameter 'focus' of lens 'thin' must be float; found 'far'"):
        lenses.make("thin", focus="far")
    with pytest.raises(UsageError, match=r"parameter 'count' of lens 'thin' must be int \| None; found 1.5"):
        lenses.make("thin", focus=1, count=1.5)
    with pytest.raises(UsageError, match="lens 'thin': focus must not be 0"):
        lenses.make("thin", focus=0)


def test_an_instance_is_returned_as_it_is(lenses: Registry[Lens]) -> None:
    lens = Thin(3)
    assert lenses.make(lens) is lens
    with pytest.raises(UsageError, match="both a Lens and parameters"):
        lenses.make(lens, focus=1)
    with pytest.raises(UnknownNameError, match="unknown lens 3"):
        lenses.make(3)  # type: ignore[arg-type]


def test_unknown_names_offer_the_closest(lenses: Registry[Lens]) -> None:
    with pytest.raises(UnknownNameError, match="unknown lens 'thim'; did you mean 'thin'"):
        lenses.get("thim")


def test_only_complete_dataclasses_of_the_kind_are_registered_and_each_name_once(lenses: Registry[Lens]) -> None:
    lenses.register("thin", Thin)
    with pytest.raises(UsageError, match="lens 'thin' is taken"):
        lenses.register("thin", Unfinished)
    with pytest.raises(UsageError, match=r"lens 'a'.*derived from Lens"):
        lenses.register("a", Other)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="NoDataclass must be a dataclass"):
        lenses.register("a", NoDataclass)
    with pytest.raises(UsageError, match="Unfinished lacks power"):
        lenses.register("a", Unfinished)
    with pytest.raises(UsageError, match="name of Other must be the same; found 'other'"):
        Registry("thing", Named, "phenoprint.test_things", {}).register("mine", Other)
    assert lenses.names() == ("thin",)


def test_the_class_of_an_installed_package_is_found_with_its_version(install: Callable[..., None]) -> None:
    assert "thick" not in SEGMENTERS
    install("thick_lens:Thick")
    assert "thick" in SEGMENTERS.names()
    assert SEGMENTERS.make("thick", depth=3).depth == 3  # type: ignore[attr-defined]
    assert SEGMENTERS.package("thick") == "thick-lens 1.2"
    with pytest.raises(UsageError, match="'thick' is taken"):
        SEGMENTERS.register("thick", Thin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Thick", "'thick' of thick-lens 1.2 cannot be loaded from 'no_such_module:Thick'.*uninstall"),
        ("thick_lens:Thin", "cannot be loaded"),
        ("thick_lens:dataclass", "'thick' of thick-lens 1.2 must be a class derived from Segmenter"),
        ("thick_lens:Segmenter", "Segmenter must be a dataclass"),
    ],
)
def test_a_broken_package_is_named_where_it_is_used(install: Callable[..., None], target: str, message: str) -> None:
    install(target)
    assert "thick" in SEGMENTERS.names()
    assert SEGMENTERS.make("classical")
    with pytest.raises(UsageError, match=message):
        SEGMENTERS.make("thick")


def test_a_name_that_two_packages_provide_is_refused(install: Callable[..., None]) -> None:
    install("thick_lens:Thick", name="classical")
    with pytest.raises(UsageError, match=r"'classical' is provided by phenoprint and by thick-lens 1\.2"):
        SEGMENTERS.get("classical")
    install("thick_lens:Thick", package="third-lens")
    install("thick_lens:Thick", package="fourth-lens")
    with pytest.raises(UsageError, match=r"'thick' is provided by fourth-lens 1\.2 and by third-lens 1\.2"):
        SEGMENTERS.get("thick")


def test_a_type_that_only_type_checkers_see_is_not_checked() -> None:
    @dataclass(frozen=True)
    class Hidden(Lens):
        shade: NoSuchType = field(default=0)  # type: ignore[name-defined]  # noqa: F821

        def power(self) -> float:
            return 0.0

    lenses: Registry[Lens] = Registry("lens", Lens, "phenoprint.test_lenses", {})
    lenses.register("hidden", Hidden)
    assert lenses.make("hidden", shade="dark") == Hidden("dark")
