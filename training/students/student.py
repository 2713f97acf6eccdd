"""What the training loop asks of a student: all that differs between decoders and encoders, and nothing else."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from peft import PeftModel
    from torch import Tensor

    from training.metrics import Measurement
    from training.options import Family, TrainingOptions


class Batch(Protocol):
    """The examples of one step."""

    @property
    def tokens(self) -> int:
        """Without padding."""
        ...

    @property
    def weight(self) -> float:
        """Of the batch's mean loss among the batches of a step."""
        ...

    def to(self, device: "torch.device") -> Self:
        """The batch where the model is."""
        ...


B = TypeVar("B", bound=Batch)


class Student(Protocol[B]):
    """A base and a task's rows. It holds no trained weights: `new_model` makes them, for a run or a trial of a rate."""

    family: "ClassVar[Family]"
    ranking: ClassVar[tuple[tuple[str, int], ...]]
    """Keys of a validation that rank the epochs, the most important first; 1 where more is better, -1 where less is."""
    searched_examples: ClassVar[int]
    """Examples that a trial of a rate is trained on."""

    @property
    def base_hash(self) -> str:
        """Of the base's weights."""
        ...

    @property
    def facts(self) -> dict[str, object]:
        """What `config.json` says about base and rows: `base`, `base_hash`, `data_hash`, `teacher`, `rows`, ..."""
        ...

    @property
    def longest_tokens(self) -> int:
        """Of the longest training example."""
        ...

    @property
    def validation_tokens(self) -> int:
        """Of all validation rows: what a validation costs."""
        ...

    @property
    def has_validation(self) -> bool:
        """Whether there are rows to choose the epoch by."""
        ...

    @property
    def default_rate(self) -> float:
        """A guess of the adapter's highest learning rate, by the size of the base, where nothing better is known."""
        ...

    def first(self, examples: int) -> "Student[B]":
        """The same student with this many of its training examples."""
        ...

    def new_model(self, options: "TrainingOptions") -> "PeftModel":
        """The base with a fresh adapter, the same for the same seed; only what is trained requires gradients."""
        ...

    def parameter_groups(self, model: "PeftModel", options: "TrainingOptions") -> list[dict[str, Any]]:
        """The optimizer's groups, each with its highest rate as `lr`; the adapter's comes first."""
        ...

    def plan(self, options: "TrainingOptions", generator: "np.random.Generator") -> list[list[int]]:
        """The example numbers of each step of an epoch, every example once, in an order that the generator draws."""
        ...

    def passes(self, numbers: Sequence[int], options: "TrainingOptions") -> list[list[int]]:
        """The passes through the model that a step with these examples is summed over."""
        ...

    def batches(self, plan: Sequence[Sequence[int]], epoch: int, options: "TrainingOptions") -> Iterator[B]:
        """A batch for each pass as this epoch shows its examples; by seed and epoch only."""
        ...

    def loss(self, model: "PeftModel", batch: B, options: "TrainingOptions") -> "Tensor":
        """The batch's mean loss, () float32, with a graph for gradients."""
        ...

    def validate(self, model: "PeftModel", options: "TrainingOptions") -> "Measurement":
        """Figures of the validation rows, the keys of `ranking` among them; nothing where there are no rows."""
        ...

    def finish(self, model: "PeftModel", options: "TrainingOptions") -> "Measurement":
        """Changes the best weights where the family does so after training; figures that replace those before."""
        ...
