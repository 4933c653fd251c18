"""What a training leaves behind: losses, accuracies, times."""

from dataclasses import dataclass, field
from statistics import median

import numpy as np

__all__ = ["History"]


@dataclass
class History:
    """The losses of all steps, the accuracies measured between them, and how long the steps took."""

    losses: list[np.ndarray] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    _steps: int = 0
    _times: list[float] = field(default_factory=list)
    _begin: float = 0.0

    def __len__(self) -> int:
        """The steps made."""
        return self._steps

    def start(self, now: float) -> None:
        """Counts time from here."""
        self._begin = now

    def add(self, losses: np.ndarray, now: float) -> None:
        """Notes the losses of a block, which ended now."""
        self.losses.append(losses)
        self._steps += len(losses)
        self._times.append((now - self._begin) / len(losses))
        self._begin = now

    def measure(self, accuracy: float | None) -> None:
        """Notes an accuracy, if there is one."""
        if accuracy is not None:
            self.accuracies.append(accuracy)

    @property
    def curve(self) -> np.ndarray:
        """The loss of each step."""
        return np.concatenate(self.losses)

    @property
    def seconds_per_step(self) -> float:
        """The median over the blocks, so that compiling does not count."""
        return median(self._times) if self._times else 0.0

    def as_arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps; `from_arrays` is the way back."""
        arrays = {"losses": self.curve, "accuracies": np.array(self.accuracies, np.float64)}
        return {name: array for name, array in arrays.items() if array.size}  # orbax takes none without numbers

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "History":
        losses = np.asarray(arrays["losses"])
        return cls([losses], np.asarray(arrays.get("accuracies", ())).tolist(), len(losses))
