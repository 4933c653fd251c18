"""Batches by grain: the same for JAX and torch, in any process, from any position."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, groupby, islice

import grain
import numpy as np
from absl import flags

from examples.training.experiment import Arrays, Experiment

__all__ = ["Blocks", "read"]

Step = tuple[int, int]  # the epoch, the batch within it


class Blocks:
    """A whole training as a list for grain: element i holds the arrays of block i of steps, `(steps, batch, ...)`.

    A block is one call of a compiled loop. Its batches have one size, and none reaches past a measurement of the
    accuracy. Which rows an epoch begins with depends on the seed and the epoch alone, so any element can be read at
    any time.

    Args:
        experiment: whose data is read.
        seed: of the orders.
        share: `(process, processes)`: which part of each batch is read here.
        devices: over how many devices batches are split; one that cannot be is read in full.
    """

    def __init__(self, experiment: Experiment, seed: int, share: tuple[int, int] = (0, 1), devices: int = 1) -> None:
        self.arrays, self.collate = experiment.data.train, experiment.data.collate
        self.rows = len(self.arrays[0])
        self.batch = min(experiment.batch or self.rows, self.rows)
        self.shuffle, self.seed, self.share, self.devices = experiment.shuffle, seed, share, devices
        self.plan, self.measured = self._plan(experiment)
        self._order = (-1, np.arange(self.rows))  # the epoch that was last asked for, and its order

    def _plan(self, experiment: Experiment) -> tuple[list[list[Step]], set[int]]:
        """The steps of each block, and the blocks after which the accuracy is measured."""
        per_epoch = self.rows // self.batch if experiment.drop_last else -(-self.rows // self.batch)
        plan: list[list[Step]] = []
        measured = set()
        for first in range(0, experiment.epochs, experiment.span):
            epochs = range(first, min(first + experiment.span, experiment.epochs))
            steps = ((epoch, i) for epoch in epochs for i in range(per_epoch))
            for _, alike in groupby(steps, key=lambda step: self.size(step)):
                while block := list(islice(alike, experiment.block)):
                    plan.append(block)
            measured.add(len(plan) - 1)
        return plan, measured

    def size(self, step: Step) -> int:
        """The rows of a step's batch."""
        return min(self.batch, self.rows - step[1] * self.batch)

    def is_split(self, size: int) -> bool:
        """Whether a batch of that many rows is split over the devices."""
        return size % self.devices == 0

    def after(self, steps: int) -> int:
        """The block that follows when this many steps are made, which is where one ends."""
        return [0, *accumulate(map(len, self.plan))].index(steps)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Arrays:
        batches = [self._batch(step) for step in self.plan[i]]
        return tuple(np.stack(column) for column in zip(*batches, strict=True))

    def _batch(self, step: Step) -> Arrays:
        epoch, i = step
        rows = self._ordered(epoch)[i * self.batch : (i + 1) * self.batch]
        batch = self.collate(tuple(array[rows] for array in self.arrays))
        process, processes = self.share
        if processes == 1 or not self.is_split(len(rows)):
            return batch
        part = len(rows) // processes
        return tuple(array[process * part : (process + 1) * part] for array in batch)

    def _ordered(self, epoch: int) -> np.ndarray:
        if self.shuffle and self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((self.seed, epoch)).permutation(self.rows))
        return self._order[1]


def _end_with_parent(worker: int, workers: int) -> None:
    """Ends a worker whose training was killed: left to itself it would wait for ever for somebody to read."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def read(blocks: Blocks, workers: int = 0) -> Iterator[grain.DatasetIterator]:
    """grain's iterator over the blocks; `workers` processes read ahead."""
    dataset = grain.MapDataset.source(blocks).to_iter_dataset(
        grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)  # a thread costs more than these arrays do
    )
    if workers:
        flags.FLAGS.mark_as_parsed()  # grain's processes ask absl for flags that only absl's own main would parse
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers), worker_init_fn=_end_with_parent
        )
    iterator = iter(dataset)
    try:
        yield iterator
    finally:
        iterator.close()  # ends the workers
