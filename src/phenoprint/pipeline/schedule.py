"""Which steps run on a screen, in which order, and what each of them depends on.

Everything follows from what the steps declare (`Step.needs`, `Step.uses`, `Step.tables`) and from the tables that the
screen was given: those of the images, or those that were imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from phenoprint.pipeline.imported import GIVEN
from phenoprint.pipeline.steps.base import Step

__all__ = ["JUDGE", "Schedule"]

JUDGE = "plate_acceptance"
"""What reads exclusions leaves out the plates that this step excludes, unless the step itself depends on it."""


@dataclass(frozen=True)
class Schedule:
    """The steps that run on a screen.

    Attributes
    ----------
    steps
        The steps, each after those that make what it reads, otherwise in the order in which they were listed.
    depends_on
        By the name of a step: the names of the steps and of the given tables that its results depend on.
    left_out
        By the name of a step that does not run: the reason.

    Examples
    --------
    >>> from phenoprint.pipeline.steps import STEPS
    >>> schedule = Schedule.of(STEPS, {"well", "exclusion", "profile_well"})
    >>> [step.name for step in schedule.steps][:3]
    ['plate_acceptance', 'recipe', 'cross_fit']
    >>> schedule.depends_on["consensus"]
    ('recipe', 'exclusion', 'plate_acceptance')
    >>> schedule.left_out["aggregate"], schedule.left_out["measure"]
    ('profile_well was imported', 'there is no image')
    """

    steps: tuple[Step, ...] = ()
    depends_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: Sequence[Step], given: Iterable[str] = GIVEN) -> Schedule:
        """Select and order the steps that can run from some given tables.

        A step runs unless its first table was given, or something that it needs is neither given nor made.

        Parameters
        ----------
        steps
            The steps to choose from.
        given
            The tables (or other results) that are there before any step has run.

        Raises
        ------
        ValueError
            If steps need each other's results.
        """
        given = frozenset(given)
        done = [step for step in steps if given.intersection(step.tables[:1])]
        left_out = {step.name: f"{step.tables[0]} was imported" for step in done}
        running = [step for step in steps if step.name not in left_out]
        while True:
            there = given.union(*(step.makes for step in running))
            missing = {step.name: [name for name in step.needed(given) if name not in there] for step in running}
            short = {name: f"there is no {' and no '.join(names)}" for name, names in missing.items() if names}
            if not short:
                break
            left_out |= short
            running = [step for step in running if step.name not in short]
        makers = {name: [step.name for step in running if name in step.makes] for name in there - given}
        depends_on = {
            step.name: tuple(
                dict.fromkeys(
                    maker
                    for name in (*step.needed(given), *step.uses)
                    if name in there
                    for maker in makers.get(name, [name])
                )
            )
            for step in running
        }
        before = _ancestors(JUDGE, depends_on)
        if JUDGE in depends_on:
            depends_on |= {
                step.name: (*depends_on[step.name], JUDGE)
                for step in running
                if "exclusion" in step.needs and step.name not in before and JUDGE not in depends_on[step.name]
            }
        return cls(_ordered(running, depends_on), depends_on, left_out)


def _ancestors(step: str, depends_on: Mapping[str, Sequence[str]]) -> set[str]:
    """Return a step and all that it depends on."""
    found, waiting = {step}, [step]
    while waiting:
        new = set(depends_on.get(waiting.pop(), ())) - found
        found |= new
        waiting.extend(sorted(new))
    return found


def _ordered(steps: Sequence[Step], depends_on: Mapping[str, Sequence[str]]) -> tuple[Step, ...]:
    """Put each step after those that it depends on; of several that could be next, take the first listed."""
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        names = {step.name for step in waiting}
        ready = next((step for step in waiting if not names.intersection(depends_on[step.name])), None)
        if ready is None:
            raise ValueError(f"these steps need each other's results: {', '.join(sorted(names))}")
        waiting.remove(ready)
        ordered.append(ready)
    return tuple(ordered)
