"""Position and number of objects, and the links between compartments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from phenoprint.features._field import COMPARTMENTS, Field, Objects
from phenoprint.features.family import Definition, FeatureFamily

__all__ = ["Location"]


@dataclass(frozen=True)
class Location(FeatureFamily):
    """Centroid, object number, and the numbers that link a cytoplasm to its cell and nucleus."""

    name: ClassVar[str] = "location"
    source: ClassVar[str] = "CellProfiler 4.2.8 IdentifyTertiaryObjects and object bookkeeping"
    definitions: ClassVar[Mapping[str, Definition]] = {
        "Location_Center_X": Definition("column of the centroid in the image", "px"),
        "Location_Center_Y": Definition("row of the centroid in the image", "px"),
        "Number_Object_Number": Definition("number of the object in its field"),
        "Children_Cytoplasm_Count": Definition("number of cytoplasms of the object", "count"),
        "Parent_Cells": Definition("number of the cell of the cytoplasm"),
        "Parent_Nuclei": Definition("number of the nucleus of the cytoplasm"),
    }
    image_definitions: ClassVar[Mapping[str, Definition]] = {
        f"Count_{kind}": Definition(f"number of objects of the image with pixels in {kind}", "count")
        for kind in COMPARTMENTS
    }

    def alias(self, name: str) -> str | None:
        """Return the name of the centroid in MeasureObjectSizeShape."""
        return name.replace("Location_", "AreaShape_") if name.startswith("Location_Center_") else None

    def measure(self, objects: Objects) -> dict[str, npt.NDArray[np.float64]]:
        """Measure one compartment; see :meth:`FeatureFamily.measure`."""
        numbers = objects.field.numbers.astype(np.float64)
        others = objects.field.compartments
        y, x = objects.centre
        result = {"Location_Center_X": x, "Location_Center_Y": y, "Number_Object_Number": numbers}
        if objects.compartment == "Cytoplasm":
            for parent in ("Cells", "Nuclei"):
                if parent in others:
                    result[f"Parent_{parent}"] = np.where(others[parent].area > 0, numbers, np.nan)
        elif "Cytoplasm" in others:
            result["Children_Cytoplasm_Count"] = (others["Cytoplasm"].area > 0).astype(np.float64)
        return result

    def measure_image(self, field: Field) -> dict[str, float]:
        """Count the objects; see :meth:`FeatureFamily.measure_image`."""
        return {f"Count_{name}": float((each.area > 0).sum()) for name, each in field.compartments.items()}
