"""A recipe: everything that decides a training run, as one typed value.

Recipes are Python (`relume.lab.recipes`), a run folder holds the one it used as JSON, and `--set` changes
single values by dotted path. Nothing that is not in the recipe changes the result, apart from the machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import field
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from relume.datasets.overlap import shared_photos
from relume.errors import UsageError
from relume.lab.darkness import Darkness

_STRICT_KEYS = ConfigDict(extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Share that a moving average keeps at each step; one that keeps all would never move."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _plain(name: str) -> str:
    if not name or name.startswith(".") or {"/", "\\", "\0"} & set(name):
        raise ValueError("a name goes without slashes or a dot before it")
    return name


Name = Annotated[str, AfterValidator(_plain)]


def _with_weight(losses: dict[str, float]) -> dict[str, float]:
    if not any(losses.values()):
        raise ValueError("no loss has a weight")
    return losses


Losses = Annotated[dict[str, float], AfterValidator(_with_weight)]


@dataclass(frozen=True, config=_STRICT_KEYS)
class Phase:
    """A stretch of training at one resolution.

    Attributes:
        steps: optimiser steps; 0 where `epochs` says how long.
        crop: side of the square training images, in pixels.
        batch: images a forward pass.
        accumulation: forward passes an optimiser step.
        epochs: length in epochs instead of steps.
        rate_factor: factor on the learning rate from here on.
    """

    steps: Count
    crop: Positive
    batch: Positive
    accumulation: Positive = 1
    epochs: Count = 0
    rate_factor: NotNegative = 1.0

    def __post_init__(self) -> None:
        if (self.steps > 0) == (self.epochs > 0):
            raise ValueError("a phase has either steps or epochs")


@dataclass(frozen=True, config=_STRICT_KEYS)
class Source:
    """One of several kinds of training samples.

    Attributes:
        name: under which validation scores it (`psnr_<name>`); sources of one name are scored together.
        kind: `pairs` as photographed; `darkened`, well-lit frames made dark by `darkness`; `identity`,
            well-lit frames as both input and target; `nights` and `gradients`, pictures made by formula, to
            which `darkness` is done, too: for nights that is `relume.lab.darkness.NIGHT`, which leaves them
            as dark as they are, for gradients `SMOOTH`.
        path: folder below the data root, with `low/` and `high/` or with `pairs.csv` and `frames/`; or a part
            of a layout, such as `lol-v2-real/train`; empty for what is made by formula.
        share: weight of the probability that a sample comes from here.
        split: a scene split that comes with relume, by name, or the `.json` file of one; empty where the
            list's own column `split` says `held_out`.
        list_file: name of another list in the folder, a CSV file with the columns `low,high` (in `frames/`),
            `low_folder,low,fused` (the folder below the data root, the target in `fused/`), or `file,split`
            (single photographs, to be darkened or left alone).
        longest: larger images are shrunk, when read, to a long side of so many pixels; 0 leaves them.
        skip: names of pairs that are left out.
        least_mean: leave out pairs whose well-lit frame has a lower mean, in [0, 1].
        darkness: what is drawn for each sample, but for `pairs` and `identity`.
    """

    name: str
    kind: Literal["pairs", "darkened", "identity", "nights", "gradients"]
    path: str
    share: float
    split: str
    list_file: str = ""
    longest: Count = 0
    skip: tuple[str, ...] = ()
    least_mean: Share = 0.0
    darkness: Darkness = field(default_factory=Darkness)

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise ValueError("the share of a source must be above 0")

    @property
    def is_made(self) -> bool:
        """Whether its pictures are made by formula and lie in no folder."""
        return self.kind in ("nights", "gradients")

    @property
    def is_darkened(self) -> bool:
        """Whether `darkness` is done to its pictures."""
        return self.kind == "darkened" or self.is_made


@dataclass(frozen=True, config=_STRICT_KEYS)
class Colours:
    """How far colours are jittered, those of both images of a pair alike.

    Attributes:
        brightness, contrast, saturation: j; a factor drawn evenly from `[1 - j, 1 + j]`.
        hue: j; a turn drawn evenly from `[-j, j]`, as a share of the circle.
    """

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Share = 0.0


@dataclass(frozen=True, config=_STRICT_KEYS)
class Data:
    """What is trained on.

    Attributes:
        sources: mixed sources of samples; they replace `pairs` and `split`. The jitters act on those of kind
            `pairs` alone.
        pairs: folder with `low/` and `high/` or with `pairs.csv` and `frames/`, below the data root.
        subset: `train` (without the validation scenes) or `all`; validation always uses the held-out scenes.
        split: a scene split that comes with relume, by name, or the `.json` file of one.
        exposure_jitter: j; the input is scaled by a factor drawn log-uniformly from `[1 / (1 + j), 1 + j]`.
        colour_jitter: j; each channel of both images is scaled by a factor drawn in the same way.
        colours: jitter of brightness, contrast, saturation and hue, after the other two.
        framing: `crop` cuts random squares, `resize` shrinks whole images to squares (area average).
        quarter_turns: turn crops by random multiples of 90 degrees; all are mirrored at random.
        vertical_flips: turn images upside down at random, too.
        passes: take every image once, in random order, before any comes again; each batch draws anew
            otherwise.
        epoch: how many images count as an epoch.
        context: smallest size of the random region that a crop's thumbnail shows, as a share of the largest
            one of its aspect in the image; that of a resized image shows all of it.
        limit: use this many pairs only (0: all; of each source), for short runs and tests.
    """

    sources: tuple[Source, ...] = ()
    pairs: str = "lol_v1/our485"
    subset: Literal["train", "all"] = "train"
    split: str = "our485_scenes"
    exposure_jitter: NotNegative = 0.0
    colour_jitter: NotNegative = 0.0
    colours: Colours = field(default_factory=Colours)
    framing: Literal["crop", "resize"] = "crop"
    quarter_turns: bool = True
    vertical_flips: bool = False
    passes: bool = False
    epoch: Positive = 485
    context: Share = 0.7
    limit: Count = 0

    def __post_init__(self) -> None:
        if known := shared_photos([source.path for source in self.sources]):
            raise ValueError(f"two sources must not be mixed: {known}")
        if self.passes and self.sources:
            raise ValueError("passes are of one set of pairs; mixed sources are drawn by their shares")


@dataclass(frozen=True, config=_STRICT_KEYS)
class Optimizer:
    """AdamW and how its learning rate moves; biases, norms and FiLM do not decay.

    Attributes:
        lr: peak learning rate.
        min_lr: the lowest it gets.
        schedule: `cosine` over the whole run, `plateau` (times `plateau_factor` when more than
            `plateau_patience` validations in a row were no better), or `constant`.
        warmup: steps of linear rise from 0.
        plateau_watches: what a validation is judged by: its `loss`, or its `psnr`.
        plateau_threshold: the share of the best value by which another must be better.
        clip: largest norm of the gradient; 0 leaves it alone.
    """

    lr: NotNegative = 1e-3
    min_lr: NotNegative = 1e-6
    weight_decay: NotNegative = 1e-4
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: Count = 200
    plateau_factor: Share = 0.5
    plateau_patience: Count = 7
    plateau_watches: Literal["loss", "psnr"] = "loss"
    plateau_threshold: NotNegative = 1e-4
    clip: NotNegative = 1.0


@dataclass(frozen=True, config=_STRICT_KEYS)
class Recipe:
    """A training run.

    Attributes:
        name: name of the recipe, and of its run folder: without slashes, or a dot before it.
        network, network_options: key of `relume.lab.networks.NETWORKS` and its keyword arguments.
        start: folder of a finished run, or file of weights (see `load_weights`), that the network starts
            from; random weights by default.
        method, method_options: key of `relume.lab.methods.METHODS` and its keyword arguments.
        losses: weight of each named loss term; at least one is not 0.
        phases: the resolution schedule, in order; at least one.
        epochs: stop after so many epochs, before the phases end; 0 goes through all of them.
        optimizer, adversary: AdamW of the network, and of the method's adversary where it has one.
        average: decay of the weights' moving average, which validation and export use; 0 turns it off.
        average_warmup: steps during which that decay rises linearly from 0.
        precision: `auto` takes bfloat16 where the device computes with it fast, else float16 on CUDA, else
            float32.
        graphs: on CUDA, record a step as a graph for each size of batches and replay it, where the method can
            be recorded: a small network's step is otherwise spent on starting its operations.
        compile: compile the method (`torch.compile`): up to 1.7 times as fast, after minutes at the start and
            at each new crop size; needs a C++ compiler on a CPU.
        log_every, validate_every, checkpoint_every: in steps; validation 0 is once an epoch.
        validation_images: how many held-out images a validation during training looks at, at most (0: all).
    """

    name: Name
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    epochs: Count = 0
    network: str = "two-pass"
    network_options: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    method: str = "supervised"
    method_options: dict[str, Any] = field(default_factory=dict)
    losses: Losses = field(default_factory=lambda: {"charbonnier": 1.0, "ssim": 0.5})
    data: Data = field(default_factory=Data)
    optimizer: Optimizer = field(default_factory=Optimizer)
    adversary: Optimizer = field(default_factory=Optimizer)
    average: Decay = 0.999
    average_warmup: Count = 500
    seed: Seed = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    graphs: bool = True
    compile: bool = False
    log_every: Positive = 50
    validate_every: Count = 1000
    checkpoint_every: Positive = 500
    validation_images: Count = 24

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return sum(steps for _, steps in self.lengths())

    def epoch_steps(self, phase: Phase) -> int:
        """Optimiser steps of an epoch of a phase."""
        return math.ceil(self.data.epoch / (phase.batch * phase.accumulation))

    def phase_at(self, step: int) -> Phase:
        """The phase that 0-based `step` belongs to; the last one for any step beyond."""
        return self._position(step)[0]

    def ends_epoch(self, step: int) -> bool:
        """Whether 0-based `step` is the last of an epoch, counted from the start of its phase."""
        phase, within = self._position(step)
        return (within + 1) % self.epoch_steps(phase) == 0

    def rate_factor(self, step: int) -> float:
        """Product of the factors on the learning rate of the phases begun so far."""
        begun = zip(self.phases, self._starts(), strict=True)
        return math.prod(phase.rate_factor for phase, start in begun if start <= step)

    @property
    def resolution_changes(self) -> list[int]:
        """0-based first steps of the phases whose crops are not as large as those before."""
        phases = zip(pairwise(self.phases), self._starts()[1:], strict=True)
        return [
            start for (before, after), start in phases if before.crop != after.crop and start < self.steps
        ]

    def _starts(self) -> list[int]:
        """0-based first step of each phase."""
        return list(accumulate((steps for _, steps in self.lengths()[:-1]), initial=0))

    def lengths(self) -> list[tuple[Phase, int]]:
        """Each phase with its steps, cut off after `epochs`."""
        lengths: list[tuple[Phase, int]] = []
        left = float(self.epochs or math.inf)
        for phase in self.phases:
            epoch = self.epoch_steps(phase)
            steps = min(phase.steps or phase.epochs * epoch, left * epoch)
            lengths.append((phase, round(steps)))
            left -= steps / epoch
        return lengths

    def _position(self, step: int) -> tuple[Phase, int]:
        """The phase of 0-based `step`, and the step within it."""
        for phase, steps in self.lengths():
            if step < steps:
                return phase, step
            step -= steps
        phase, steps = self.lengths()[-1]
        return phase, steps + step


_ADAPTER = TypeAdapter(Recipe)


def to_json(recipe: Recipe) -> str:
    """The recipe as indented JSON."""
    return _ADAPTER.dump_json(recipe, indent=2).decode() + "\n"


def from_json(text: str) -> Recipe:
    """Read a recipe from JSON.

    Raises:
        UsageError: no JSON, unknown keys, or values of the wrong type.
    """
    try:
        return _validated(json.loads(text))
    except json.JSONDecodeError as error:
        raise UsageError(f"the recipe is not JSON ({error})", "Name a recipe.json of a run.") from error


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Change values by `dotted.path=value`; lists by index, values as JSON or plain text.

    >>> from relume.lab.recipes import get_recipe
    >>> recipe = override(get_recipe("lol"), ["optimizer.lr=1e-4", "phases.0.crop=64", "losses.ssim=0.8"])
    >>> recipe.optimizer.lr, recipe.phases[0].crop, recipe.losses["ssim"]
    (0.0001, 64, 0.8)

    Raises:
        UsageError: no `=`, an unknown path, or a value of the wrong type.
    """
    tree = _ADAPTER.dump_python(recipe, mode="json")
    for assignment in assignments:
        path, separator, value = assignment.partition("=")
        if not separator:
            raise UsageError(f"'{assignment}' is not an assignment", "Write --set key=value.")
        _assign(tree, path.split("."), _parse(value), path)
    return _validated(tree)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _assign(tree: Any, keys: list[str], value: Any, path: str) -> None:
    try:
        for key in keys[:-1]:
            tree = tree[int(key)] if isinstance(tree, list) else tree[key]
        if isinstance(tree, list):
            tree[int(keys[-1])] = value
        else:
            tree[keys[-1]] = value
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UsageError(
            f"the recipe has no value '{path}'", "`relume train RECIPE --show` prints them all."
        ) from error


def _validated(tree: Any) -> Recipe:
    try:
        return _ADAPTER.validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ").lower()
        raise UsageError(
            f"recipe value '{where}': {what}", "`relume train RECIPE --show` prints them all."
        ) from error
