"""What a student learns from beside its labels: a local teacher's distributions, whole or stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from appliance.ground.errors import UsageError

DivergenceKind = Literal["forward-kl", "reverse-kl", "jsd"]
Loss = Literal["cross-entropy"] | DivergenceKind
LOSSES: tuple[str, ...] = ("cross-entropy", *get_args(DivergenceKind))
DEFAULT_DIVERGENCE: DivergenceKind = "forward-kl"
"""Where there is a teacher and nobody chose; `benchmarks/losses.py` compares them."""
DEFAULT_TEMPERATURE = 2.0
"""Of the forward divergence from a teacher that is there: the best of those that `benchmarks/losses.py` compares."""
HIGHEST_TEMPERATURE = 100.0
"""Beyond it, all tokens are alike in float32."""


@dataclass(frozen=True)
class Divergence:
    """Which divergence, and of which distributions."""

    kind: DivergenceKind = "forward-kl"
    """`forward-kl` is KL(teacher || student), `reverse-kl` KL(student || teacher), `jsd` what lies between."""
    temperature: float = 1.0
    """Both sides' logits are divided by it, and the divergence is multiplied by its square, so that the gradients keep
    their size."""
    beta: float = 0.5
    """Of `jsd`: the teacher's share of the mixture that both are compared with. Near 0 it behaves as `forward-kl`, near
    1 as `reverse-kl`, both scaled by the distance from there."""


@dataclass(frozen=True)
class DistillationOptions:
    """What is learnt from a teacher's distributions; without one, the labels are all there is."""

    teacher_model: str = ""
    """A folder of weights, of a run or of a task, or the name of a base; empty for none."""
    teacher_logits: str = ""
    """A file that `stillroom score` wrote; empty for none."""
    loss: Loss = "cross-entropy"
    """`cross-entropy` to the labels, or a divergence from the teacher (`training/divergences.py`)."""
    temperature: float = 1.0
    """Of both sides' distributions; the divergence is multiplied by its square."""
    beta: float = 0.5
    """Of `jsd`: the teacher's share of the mixture."""
    teacher_share: float = 1.0
    """Of the divergence in the loss; the rest is cross entropy to the labels."""
    on_policy: float = 0.0
    """Share of the steps in which the student writes the answers itself, by its grammar, and the teacher scores."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UsageError(f"the loss {self.loss!r} is unknown", f"known losses: {', '.join(LOSSES)}")
        _check_range(
            "temperature", self.temperature, 0 < self.temperature <= HIGHEST_TEMPERATURE, "above 0 and at most 100"
        )
        _check_range(
            "beta", self.beta, 0 < self.beta < 1, "between 0 and 1; at its ends they are forward and reverse KL"
        )
        _check_range("teacher share", self.teacher_share, 0 < self.teacher_share <= 1, "above 0 and at most 1")
        _check_range("on-policy share", self.on_policy, 0 <= self.on_policy <= 1, "between 0 and 1")
        if self.teacher_model and self.teacher_logits:
            raise UsageError(
                "a teacher's weights and stored logits are both named", "leave out --teacher-model or --teacher-logits"
            )
        if self.has_teacher == (self.loss == "cross-entropy"):
            raise UsageError(
                f"the loss {self.loss} {'has no use for a teacher' if self.has_teacher else 'needs a teacher'}",
                "name one of forward-kl, reverse-kl and jsd with --loss"
                if self.has_teacher
                else "name a teacher with --teacher-model or --teacher-logits",
            )
        if self.on_policy and not self.teacher_model:
            raise UsageError(
                "only a teacher's weights can score what the student writes", "name them with --teacher-model"
            )

    @property
    def has_teacher(self) -> bool:
        """Whether there are distributions to learn from."""
        return bool(self.teacher_model or self.teacher_logits)

    @property
    def divergence(self) -> Divergence:
        """The divergence from the teacher.

        Raises:
            ValueError: There is no teacher.
        """
        if self.loss == "cross-entropy":
            raise ValueError("cross entropy compares with no teacher")
        return Divergence(self.loss, self.temperature, self.beta)

    def __str__(self) -> str:
        """In words, as the lineage of a model says it: `jsd, beta 0.5, temperature 2, 50 % on-policy`."""
        parts: list[str] = [self.loss]
        if self.has_teacher:
            parts += [f"beta {self.beta:g}"] if self.loss == "jsd" else []
            parts += [f"temperature {self.temperature:g}"] if self.temperature != 1 else []
            parts += [f"teacher share {self.teacher_share:g}"] if self.teacher_share != 1 else []
            parts += [f"{self.on_policy:.0%} on-policy".replace("%", " %")] if self.on_policy else []
        return ", ".join(parts)


OPTION_NAMES = frozenset(DistillationOptions.__dataclass_fields__)
"""As they are named on the command line, with underscores."""


def distillation_options(requested: Mapping[str, Any]) -> DistillationOptions:
    """The options that were requested, by their names on the command line.

    Raises:
        UsageError: One is invalid, or has no use without another.
    """
    chosen = {name: value for name, value in requested.items() if name in OPTION_NAMES}
    has_teacher = bool(chosen.get("teacher_model") or chosen.get("teacher_logits"))
    if has_teacher:
        chosen.setdefault("loss", DEFAULT_DIVERGENCE)
    if chosen.get("teacher_model") and not chosen.get("teacher_logits") and chosen["loss"] == "forward-kl":
        chosen.setdefault("temperature", DEFAULT_TEMPERATURE)
    useless = next((name for name in ("temperature", "beta", "teacher_share", "on_policy") if name in chosen), None)
    if useless and not has_teacher:
        raise UsageError(
            f"--{useless.replace('_', '-')} has no use without a teacher",
            "name one with --teacher-model or --teacher-logits",
        )
    if "temperature" in chosen and chosen.get("teacher_logits"):
        raise UsageError(
            "--temperature cannot be given with --teacher-logits, which are stored at one",
            "give it to `stillroom score`",
        )
    if "beta" in chosen and chosen.get("loss") != "jsd":
        raise UsageError(
            f"--beta is for the loss jsd, this one is {chosen.get('loss')}", "add --loss jsd, or leave --beta out"
        )
    return DistillationOptions(**chosen)


def _check_range(name: str, value: float, is_within: bool, words: str) -> None:
    if not is_within:  # NaN is within nothing
        raise UsageError(f"the {name} is {value}; it must be {words}", f"leave --{name.split()[0]} out for the default")
