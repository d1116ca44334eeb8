"""The step that estimates the illumination of the channels of a plate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from phenoprint.errors import ImageError
from phenoprint.pipeline.screen_files import illumination_name, write_illumination
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.pipeline.steps.fields import sample_fields, single_channel
from phenoprint.store import hash_key, ledger_rows, remove_file

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["Illuminate"]


class Illuminate(Step):
    """Estimate the illumination of each channel of a plate."""

    name = "illumination"
    title = "Illumination"
    scope = Scope.PLATE
    needs = ("image",)
    files = ("illumination",)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the illumination section."""
        return config.section("illumination")

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Estimate and save one illumination function per channel."""
        from phenoprint.images import estimate_illumination

        section = context.config.illumination
        for channel in context.channels:  # functions of an earlier method
            remove_file(context.path / illumination_name(unit.plate, channel))
        if section.method == "none":
            return Outcome(digest="none")
        files: list[str] = []
        sampled, lost = 0, Counter[str]()
        contents: list[tuple[str, np.ndarray, np.ndarray | None]] = []
        for channel in context.channels:
            sample = sample_fields(context.images(unit.plate), channel, section.max_fields)
            sampled += len(sample)
            first, fields = _peek(single_channel(sample, context, channel, lost))
            if first is None:
                raise ImageError(f"no field of channel {channel} of plate {unit.plate} can be read")
            function = estimate_illumination(
                fields,
                method=section.method,
                average=section.average,
                dark=section.dark,
                offset=section.offset,
                smoothing_px=section.smoothing_px,
            )
            name = illumination_name(unit.plate, channel)
            write_illumination(context.path / name, function)
            files.append(name)
            contents.append((channel, function.flat, function.dark))
        ledger = ledger_rows(self.name, unit.plate, unit_of_count="images", n_in=sampled, lost=lost)
        return Outcome(ledger=ledger, files=tuple(files), digest=hash_key(contents))


def _peek(fields: Iterator[np.ndarray]) -> tuple[np.ndarray | None, Iterator[np.ndarray]]:
    """Return the first field, if there is one, and an iterator over all; one field is in memory at a time."""
    first = next(fields, None)
    return first, iter(()) if first is None else chain([first], fields)
