"""What the HTML template shows of one run: the verdict's groups with their decisions and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports import ablation, divergences, economy, evidence, machine, operating, prediction, raw, tradeoff
from reports.groups import Group, groups, measures_speed
from reports.lossless import Summary, block, summary
from reports.plots import acceptance, experts, pareto, speed, theory
from reports.plots import prediction as predicted
from reports.plots.canvas import Picture
from reports.resources import resources
from reports.text import Line
from reports.words import Decision, certificate, decide, notes, run_headline, trials
from results.runfile import RunFile
from results.verdicts import CellVerdict, RunVerdict

_CHOICES = 4
"""Kinds of requests whose settings are drawn against each other."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One group with what is said and drawn about it."""

    group: Group
    decision: Decision
    certificate: str
    """A/A."""
    lossless: tuple[Line, ...]
    ablation: tuple[Line, ...]
    """What costs predicted, then what losing a part costs: said under the table of speed-ups."""
    speed: tuple[Picture, ...]
    acceptance: tuple[Picture, ...]
    theory: tuple[Picture, ...]
    parts: tuple[Picture, ...]
    """Acceptance by category and along the output."""
    scatter: tuple[Picture, ...]
    spent: tuple[tradeoff.Spent, ...]
    """Of every cell, in the group's order."""
    experts: tuple[Picture, ...] = ()

    @property
    def balance(self) -> tradeoff.Spent | None:
        """That of the ranked best cell."""
        return next((each for each in self.spent if each.cell is self.best), None)

    @property
    def best(self) -> CellVerdict | None:
        """The ranked best cell."""
        return self.group.focus if self.group.best else None


@dataclass(frozen=True, slots=True)
class Run:
    """One run file of a report."""

    key: str
    """Prefix of its ids."""
    name: str
    title: str
    machine: str
    trials: str
    headline: str
    verdict: RunVerdict
    speed: bool
    """Speed was measured; a run of `mtpbench verify` compares outputs only."""
    lossless: Summary
    divergences: tuple[divergences.Shown, ...]
    divergences_total: int
    settings: tuple[Setting, ...]
    overview: tuple[Picture, ...]
    certificates: tuple[Picture, ...]
    choices: tuple[operating.Choice, ...]
    pareto: tuple[Picture, ...]

    winners: tuple[operating.Winner, ...]
    economies: tuple[economy.Economy, ...]
    """Where an engine measured its costs alone: empty without."""
    predictions: tuple[Picture, ...]
    notes: tuple[str, ...]
    lengths: tuple[int, ...]
    """Every draft length measured, for the overview table."""
    engines: tuple[evidence.Engine, ...]
    provenance: tuple[tuple[str, str], ...]
    sweep: tuple[tuple[str, str], ...]
    request: tuple[tuple[str, str], ...]
    """Command line, seed, workloads."""
    flags: dict[str, int]
    failed: tuple[evidence.Failed, ...]
    failed_total: int
    raw: tuple[raw.Raw, ...]
    drawn: tuple[Setting, ...]
    """Those of `settings` that have pictures."""

    @property
    def cards(self) -> list[Setting]:
        """The settings of the first screen, those in which drafting pays first."""
        return sorted(self.settings, key=lambda setting: setting.decision.outcome != "faster")

    @property
    def accepted(self) -> bool:
        """Acceptance belongs into the report: with speed always, else where something was revealed."""
        return self.speed or any(cell.acceptance for cell in self.verdict.cells)


def _kept(*pictures: Picture | None) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def _setting(
    key: str, group: Group, extent: Sequence[float], spent: tuple[tradeoff.Spent, ...], *, draw: bool
) -> Setting:
    decision = decide(group)
    told = certificate(next((cell.aa for cell in group.cells if cell.aa), None))
    output, lost = tuple(block(group, singly=False)), (*prediction.lines(group), *ablation.lines(group))
    if not draw:
        return Setting(group, decision, told, output, lost, (), (), (), (), (), spent)
    return Setting(
        group=group,
        decision=decision,
        certificate=told,
        lossless=output,
        ablation=lost,
        speed=_kept(speed.by_length(f"{key}-length", group, extent)),
        acceptance=_kept(
            acceptance.by_position(f"{key}-joint", group, "joint"),
            acceptance.by_position(f"{key}-conditional", group, "conditional"),
        ),
        theory=_kept(theory.expectation(f"{key}-theory", group), theory.waterfall(f"{key}-waterfall", group)),
        parts=_kept(acceptance.by_category(f"{key}-category", group), acceptance.by_output(f"{key}-output", group)),
        scatter=_kept(speed.scatter(f"{key}-units", group)),
        spent=spent,
        experts=_kept(experts.by_layer(f"{key}-experts", group, spent)),
    )


def run_view(
    key: str, name: str, file: RunFile, verdict: RunVerdict, drawn: int, beside: int, price_per_hour: float | None
) -> Run:
    """Everything that the template needs of one run.

    key: prefix of its ids. drawn: how many groups get pictures; tables hold all of them. beside: how many runs the
    report has. price_per_hour: of its machine.
    """
    found, used = groups(verdict), resources(file)
    extent = speed.extent(found[:drawn])
    settings = tuple(
        _setting(f"{key}-g{index}", group, extent, tradeoff.spent(group, used, price_per_hour), draw=index < drawn)
        for index, group in enumerate(found)
    )
    failed, failed_total = evidence.failed_trials(file)
    run = verdict.run
    diverged, diverged_total = divergences.shown(found)
    choices = tuple(operating.choices(found))
    return Run(
        key=key,
        name=name,
        title=machine.title(run),
        machine=machine.summary(run),
        trials=trials(run),
        headline=run_headline(verdict, [(setting.group, setting.decision) for setting in settings]),
        verdict=verdict,
        speed=measures_speed(verdict),
        lossless=summary(verdict),
        divergences=diverged,
        divergences_total=diverged_total,
        settings=settings,
        overview=_kept(speed.decision(f"{key}-best", found[:drawn])),
        certificates=_kept(speed.certificate(f"{key}-aa", found[:drawn])),
        choices=choices,
        pareto=tuple(pareto.pareto(f"{key}-p{i}", each) for i, each in enumerate(choices[: min(drawn, _CHOICES)])),
        winners=tuple(operating.winners(name, found)),
        economies=tuple(economy.economies(found)),
        predictions=_kept(
            *(
                predicted.beside_measured(f"{key}-e{index}", each)
                for index, each in enumerate(economy.economies(found[:drawn]))
            )
        ),
        notes=tuple(notes(verdict)),
        lengths=tuple(sorted({cell.draft_length for cell in verdict.cells})),
        engines=tuple(evidence.engines(file)),
        provenance=tuple(machine.facts(run.get("provenance"))),
        sweep=tuple(machine.facts(run.get("sweep"))),
        request=tuple(machine.facts({key: run.get(key) for key in ("file", "argv", "seed", "workload")})),
        flags=evidence.flags(file),
        failed=(*evidence.failed_launches(file), *failed),
        failed_total=failed_total,
        raw=raw.tables(file, verdict, beside),
        drawn=settings[:drawn],
    )
