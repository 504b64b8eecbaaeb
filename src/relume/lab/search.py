"""Search for the two-pass network's options that give the best pictures within a time on this machine.

What a configuration takes is measured, on its exported graphs with random weights. What it is good for is
told by short runs with successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification
and hyperparameter optimization", AISTATS 2016): many candidates for few steps, the best of them for more, and
the finalists with several seeds. Candidates are proposed by Optuna, towards both goals at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from relume.errors import TrainingDiverged
from relume.evaluate.figure import encoded, new_figure
from relume.files import check_folder, make_folder, read_json, write_file
from relume.lab.data.packed import Roots
from relume.lab.data.paired import LoadedPair, LoadedPairs, evenly, load_training_and_validation
from relume.lab.recipe import Recipe, to_json
from relume.lab.run import Run
from relume.lab.training.timing import scaled
from relume.lab.trials import Clock, Trial, core_seconds, scored, shape, tried

TODAY: Mapping[str, Any] = {
    "widths": [16, 32, 64, 160],
    "depths": [1, 1, 1, 1],
    "condition": 64,
    "global_width": 24,
    "modulated_from": 2,
}
"""The network as it is shipped; it takes part in every stage."""

_WIDTHS = ((16, 48, 16), (16, 80, 16), (32, 128, 16), (64, 256, 32))
"""Least, most and step of each level's channels: engines compute in blocks of 16."""

LAST_WORD = "last word"
"""Stage of trials by the second half of the held-out images, which the search has not seen."""

_PROPOSALS = 20
"""For each candidate, at most: some take too long, or were proposed before."""

_SHARES = (0.5, 0.75)
"""Of the time: until when candidates are tried, and until when the best of them are tried for longer."""


@dataclass(frozen=True)
class Plan:
    """What a search may take.

    Attributes:
        budget_ms: most milliseconds of a photo, see `Clock`.
        minutes: of processor time, for everything: measuring, training, scoring.
        steps: of a candidate's first run.
        reduction: one of so many trains on, for so many times as many steps.
        seeds: of the finalists.
        candidates: at most.
    """

    budget_ms: float
    minutes: float
    steps: int
    reduction: int = 3
    seeds: int = 3
    candidates: int = 50

    def told(self) -> str:
        """In a sentence, before it begins."""
        return (
            f"At most {self.minutes:g} core-minutes: half for candidates of {self.steps} steps each, "
            f"a quarter for the best of {self.reduction} with {self.steps * self.reduction} steps, "
            f"the rest for the finalists with {self.seeds} seeds; networks of at most {self.budget_ms:g} ms."
        )


def quality(trial: Trial) -> float:
    """What is searched for. Plain PSNR of short runs tells above all whose brightness happens to fit."""
    return trial.psnr_gt_mean


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Those that no other beats in quality and time, fastest first."""
    ordered = sorted(trials, key=lambda trial: (trial.ms, -quality(trial)))
    best, kept = -math.inf, list[Trial]()
    for trial in ordered:
        if quality(trial) > best:
            best = quality(trial)
            kept.append(trial)
    return kept


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The front, then the front of all others, and so on; within each the best first."""
    left, order = list(trials), list[Trial]()
    while left:
        best = front(left)
        order += sorted(best, key=quality, reverse=True)
        left = [trial for trial in left if trial not in best]
    return order


def halves(pairs: Sequence[LoadedPair]) -> tuple[list[LoadedPair], list[LoadedPair]]:
    """The first half of each source's images and the second, so that scenes, which follow one another, stay
    together."""
    by_source: dict[str, list[LoadedPair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source.name if pair.source else "", []).append(pair)
    first = [pair for own in by_source.values() for pair in own[: -(-len(own) // 2)]]
    second = [pair for own in by_source.values() for pair in own[-(-len(own) // 2) :]]
    return first, second


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    """Options of the two-pass network."""
    levels = range(trial.suggest_int("levels", 3, 4))
    return {
        "widths": [
            trial.suggest_int(f"width {level}", least, most, step=step)
            for level, (least, most, step) in zip(levels, _WIDTHS, strict=False)
        ],
        "depths": [trial.suggest_int(f"depth {level}", 1, 2) for level in levels],
        "condition": trial.suggest_int("condition", 32, 96, step=32),
        "global_width": trial.suggest_int("global_width", 16, 32, step=8),
        "modulated_from": trial.suggest_int("modulated_from", 1, 2),
    }


def name_of(options: Mapping[str, Any]) -> str:
    """A configuration as the name of a folder."""
    widths, depths = ("-".join(map(str, options[key])) for key in ("widths", "depths"))
    rest = [f"{key}{options[name]}" for key, name in (("c", "condition"), ("g", "global_width"))]
    return "_".join([f"w{widths}", f"d{depths}", *rest, f"m{options['modulated_from']}"])


def _today_as_parameters() -> dict[str, Any]:
    """What `suggested` would have to draw for today's network."""
    lists = {
        f"{key} {level}": value for key in ("width", "depth") for level, value in enumerate(TODAY[f"{key}s"])
    }
    single = {name: TODAY[name] for name in ("condition", "global_width", "modulated_from")}
    return {"levels": len(TODAY["widths"]), **lists, **single}


@dataclass
class Search:
    """A search in a folder, which holds all that is done, so that the same search resumes there.

    Attributes:
        recipe: what a whole run would do; its phases are shortened to the plan's steps.
        roots: data root, or a pack.
        folder: of the runs, the study, and what was measured.
        clock, plan: what a network's time is, and what the search may take.
        device, quiet: as for training.
    """

    recipe: Recipe
    roots: Roots
    folder: Path
    clock: Clock
    plan: Plan
    device: str = "auto"
    quiet: bool = False
    _pairs: LoadedPairs = field(init=False)
    _second: list[LoadedPair] = field(init=False)

    def __post_init__(self) -> None:
        self._began = core_seconds()
        check_folder(self.folder)
        make_folder(self.folder)
        self._before = sum(read_json(path)["core_seconds"] for path in self.folder.glob("*/result.json"))
        self._longest = 0.0

    @property
    def minutes(self) -> float:
        """Processor time so far, of earlier commands' runs too."""
        return (self._before + core_seconds() - self._began) / 60

    def run(self) -> Iterator[Trial]:
        """All stages as far as the time lasts; what is done already comes from the folder.

        Raises:
            DataError: the data is missing or incomplete.
            UsageError: the folder holds runs of another search.
        """
        training, held_out = load_training_and_validation(self.roots, self.recipe.data)
        first, second = halves(held_out)
        self._pairs, self._second = (training, first), evenly(second, self.recipe.validation_images)
        candidates: list[Trial] = []
        for trial in self._candidates():
            candidates.append(trial)
            yield trial
        longer: list[Trial] = []
        for trial in self._longer(self._best_of(candidates)):
            longer.append(trial)
            yield trial
        yield from self._finals(self._best_of(longer))

    def _best_of(self, trials: Sequence[Trial]) -> list[Trial]:
        """One of `reduction`, and today's network."""
        best = ranked(trials)[: -(-len(trials) // self.plan.reduction)]
        today = [trial for trial in trials if trial.name == name_of(TODAY) and trial not in best]
        return [*today, *best]

    def _affords(self, seconds: float, share: float) -> bool:
        """Whether so much more fits into a share of the time."""
        return self.minutes + seconds / 60 <= share * self.plan.minutes

    def _candidates(self) -> Iterator[Trial]:
        """The first runs: those of an earlier command, then new ones; each configuration once."""
        study = self._study()
        names: set[str] = set()
        for known in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            options = known.user_attrs["options"]
            if known.user_attrs["feasible"] and name_of(options) not in names:
                names.add(name_of(options))
                yield self._try("rung 0", options, self.plan.steps)
        for _ in range(_PROPOSALS * self.plan.candidates):
            if len(names) >= self.plan.candidates or not self._affords(self._longest, _SHARES[0]):
                break
            trial = self._candidate(study)
            if trial is not None and trial.name not in names:
                names.add(trial.name)
                yield trial

    def _candidate(self, study: optuna.Study) -> Trial | None:
        """Try what the study proposes next; None where it takes too long or diverges."""
        asked = study.ask()
        options = suggested(asked)
        ms = self.clock.milliseconds("two-pass", options)
        feasible = ms <= self.plan.budget_ms or name_of(options) == name_of(TODAY)
        asked.set_user_attr("options", options)
        asked.set_user_attr("feasible", feasible)
        asked.set_constraint("ms", ms - self.plan.budget_ms)
        if not feasible:
            study.tell(asked, [0.0, ms])
            return None
        trial = next(self._unless_diverged("rung 0", options, self.plan.steps), None)
        if trial is None:
            study.tell(asked, state=TrialState.FAIL)
        else:
            study.tell(asked, [quality(trial), ms])
        return trial

    def _study(self) -> optuna.Study:
        """The study in the folder; what was begun and not finished is proposed again first."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(self.folder / "study.log"))),
            study_name="search",
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        known = len(study.get_trials(deepcopy=False))
        # Another seed each time: with the same one, what was proposed first would be proposed again.
        study.sampler = optuna.samplers.TPESampler(seed=self.recipe.seed + known, n_startup_trials=8)
        if not known:
            study.enqueue_trial(_today_as_parameters())
        for left in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            study.tell(left.number, state=TrialState.FAIL)
            study.enqueue_trial(left.params)
        return study

    def _longer(self, best: Sequence[Trial]) -> Iterator[Trial]:
        for trial in best:
            if self._affords(trial.core_seconds * self.plan.reduction, _SHARES[1]):
                steps = self.plan.steps * self.plan.reduction
                yield from self._unless_diverged("rung 1", json.loads(trial.options), steps)

    def _finals(self, finalists: Sequence[Trial]) -> Iterator[Trial]:
        for seed in range(self.plan.seeds):
            for trial in finalists:
                cost = trial.core_seconds * (1 if seed else 0.5)  # that of the first seed is trained already
                if self._affords(cost, 1.0):
                    options, steps = json.loads(trial.options), self.plan.steps * self.plan.reduction
                    for one in self._unless_diverged("final", options, steps, seed):
                        yield one
                        yield self._last_word(options, steps, seed)

    def _unless_diverged(
        self, stage: str, options: Mapping[str, Any], steps: int, seed: int = 0
    ) -> Iterator[Trial]:
        """One trial, or none: a network that diverges does not keep the others from running."""
        with suppress(TrainingDiverged):
            yield self._try(stage, options, steps, seed)

    def _shortened(self, options: Mapping[str, Any], steps: int, seed: int) -> Recipe:
        short = scaled(self.recipe, steps / self.recipe.steps)
        name = f"{name_of(options)}-{steps}-{seed}"
        return replace(short, name=name, network="two-pass", network_options=dict(options), seed=seed)

    def _try(self, stage: str, options: Mapping[str, Any], steps: int, seed: int = 0) -> Trial:
        recipe = self._shortened(options, steps, seed)
        run = Run(self.folder / recipe.name)
        trial = tried(
            stage,
            name_of(options),
            recipe,
            self.roots,
            self._pairs,
            run,
            self.clock,
            device=self.device,
            quiet=self.quiet,
        )
        self._longest = max(self._longest, trial.core_seconds)
        return replace(trial, stage=stage)

    def _last_word(self, options: Mapping[str, Any], steps: int, seed: int) -> Trial:
        recipe = self._shortened(options, steps, seed)
        run = Run(self.folder / recipe.name)
        kept = run.folder / "last_word.json"
        if not kept.exists():
            trial = scored(LAST_WORD, name_of(options), recipe, run, self._second, self.clock)
            write_file(kept, json.dumps(asdict(trial), indent=2) + "\n")
        return Trial(**read_json(kept))


def means(trials: Sequence[Trial]) -> list[Trial]:
    """Those of the last stage that was reached, each network once, with its mean scores over all seeds."""
    stages = [trial.stage for trial in trials]
    last = LAST_WORD if LAST_WORD in stages else stages[-1]
    by_name: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.stage == last:
            by_name.setdefault(trial.name, []).append(trial)
    return [
        replace(
            own[0],
            psnr=mean(one.psnr for one in own),
            psnr_gt_mean=mean(one.psnr_gt_mean for one in own),
            ssim=mean(one.ssim for one in own),
        )
        for own in by_name.values()
    ]


def chosen(trials: Sequence[Trial], budget_ms: float) -> Trial:
    """The best of `means` within a time; the fastest where none is."""
    within = [trial for trial in means(trials) if trial.ms <= budget_ms]
    return max(within, key=quality) if within else min(means(trials), key=lambda trial: trial.ms)


def recipe_of(trial: Trial, recipe: Recipe) -> str:
    """A recipe of the network that was found, as the text of its file."""
    options = json.loads(trial.options)
    return to_json(
        replace(recipe, name=f"{recipe.name}-found", network=trial.network, network_options=options)
    )


def rows(trials: Sequence[Trial]) -> list[list[str]]:
    """Cells of a table, headings first: every network of the last stage, fastest first."""
    last = sorted(means(trials), key=lambda trial: trial.ms)
    best = front(last)
    head = ["widths x depths", "GMAC at 256", "ms", "seeds", "PSNR dB", "GT-mean PSNR dB", "SSIM", "front"]
    return [
        head,
        *(
            [
                shape(trial) + (" (today's)" if trial.name == name_of(TODAY) else ""),
                f"{trial.gmacs_256:.3f}",
                f"{trial.ms:.0f}",
                str(len({one.seed for one in trials if (one.name, one.stage) == (trial.name, trial.stage)})),
                f"{trial.psnr:.2f}",
                f"{trial.psnr_gt_mean:.2f}",
                f"{trial.ssim:.4f}",
                "yes" if trial in best else "no",
            ]
            for trial in last
        ),
    ]


def picture(trials: Sequence[Trial], suffix: str) -> bytes:
    """Quality against measured time, a panel for each stage, with its front and today's network."""
    stages = list(dict.fromkeys(trial.stage for trial in trials))
    figure = new_figure(4.2 * len(stages), 4)
    for panel, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        own = means([trial for trial in trials if trial.stage == stage])
        best = front(own)
        panel.scatter([trial.ms for trial in own], [quality(trial) for trial in own], color="0.6")
        panel.plot([trial.ms for trial in best], [quality(trial) for trial in best], "o-", label="front")
        for trial in own:
            if trial.name == name_of(TODAY):
                panel.plot(trial.ms, quality(trial), "*", color="C3", markersize=14, label="today's")
        first = own[0]
        panel.set(
            title=f"{stage}, {first.steps} steps, {first.images} images",
            xlabel=f"ms for {first.width} x {first.height}, {first.engine}, {first.threads} thread",
            ylabel="GT-mean PSNR, dB",
        )
        panel.grid(alpha=0.25)
        panel.legend()
    return encoded(figure, suffix)
