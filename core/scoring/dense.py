"""Small fully connected networks: trained by torch on the CPU, run by NumPy, both in float64.

Float64 makes a text's output independent of the batch and of the number of threads to far below any tolerance used
here, and such networks are too small for it to cost. Torch is imported for training only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_SLOPE = 0.1  # of the leaky rectifier between layers; unbounded, as Deep SVDD asks (Ruff et al. 2018, proposition 3)
_BATCH_ROWS = 128
_LEARNING_RATE = 1e-3
_WEIGHT_DECAY = 1e-3
_MAX_STEPS = 1_000  # a few seconds; many texts need fewer rounds than few
_PATIENCE = 10  # epochs without a better held-out loss
_HELD_OUT_EVERY = 10
_LEAST_ROWS_TO_HOLD_OUT = 30

Layers = list[np.ndarray]
"""Weight [in, out] and bias [1, out] of each layer in turn, float64."""


def initial_layers(sizes: tuple[int, ...], seed: int) -> Layers:
    """Random layers (He et al., arXiv 1502.01852) of these widths, biases zero."""
    random = np.random.default_rng(seed)
    layers: Layers = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [random.normal(0.0, np.sqrt(2.0 / n_in), (n_in, n_out)), np.zeros((1, n_out))]
    return layers


def forward(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """Outputs [B, out] of inputs [B, in]; leaky rectifier between layers, none after the last."""
    hidden = inputs.astype(np.float64)
    for i in range(0, len(layers), 2):
        if i:
            hidden = np.where(hidden > 0, hidden, _SLOPE * hidden)
        hidden = hidden @ layers[i] + layers[i + 1]
    return hidden


def train(
    layers: Layers,
    inputs: np.ndarray,
    weights: np.ndarray,
    row_loss: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    seed: int,
    epochs: int,
    biases: bool = True,
    after_epoch: Callable[[Layers], None] | None = None,
) -> Layers:
    """Fit layers with Adam; stops when the loss of every tenth row, held out, no longer falls.

    Args:
        layers: where to start from.
        inputs: [N, in].
        weights: [N] how much each row counts, more than 0.
        row_loss: outputs [b, out], inputs [b, in] and row numbers [b] to losses [b].
        seed: of the order of rows.
        epochs: rounds over the rows at most, fewer where they would take more than 1,000 steps.
        biases: False keeps the biases as they are.
        after_epoch: told the layers after each epoch.

    Returns:
        The layers with the lowest held-out loss (of all rows where they are fewer than 30).
    """
    import torch

    random = np.random.default_rng(seed)
    x = torch.from_numpy(inputs.astype(np.float64))
    row_weights = torch.from_numpy(weights / weights.mean())
    tensors = [torch.tensor(layer, requires_grad=biases or i % 2 == 0) for i, layer in enumerate(layers)]
    optimizer = torch.optim.AdamW(
        [tensor for tensor in tensors if tensor.requires_grad], lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )

    def run(batch: torch.Tensor) -> torch.Tensor:
        for i in range(0, len(tensors), 2):
            if i:
                batch = torch.nn.functional.leaky_relu(batch, _SLOPE)
            batch = batch @ tensors[i] + tensors[i + 1]
        return batch

    def loss_of(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return (row_loss(outputs, x[rows], rows) * row_weights[rows]).sum() / row_weights[rows].sum()

    order = random.permutation(len(inputs))
    held_out = order[::_HELD_OUT_EVERY] if len(inputs) >= _LEAST_ROWS_TO_HOLD_OUT else order
    training = np.setdiff1d(order, held_out) if len(held_out) < len(order) else order
    watched = torch.from_numpy(np.sort(held_out))
    best_loss, best, waited = np.inf, layers, 0
    for _ in range(min(epochs, math.ceil(_MAX_STEPS * _BATCH_ROWS / len(training)))):
        shuffled = torch.from_numpy(random.permutation(training))
        for rows in torch.split(shuffled, _BATCH_ROWS):
            optimizer.zero_grad()
            loss_of(run(x[rows]), rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            loss = float(loss_of(run(x[watched]), watched))
        reached = [tensor.detach().numpy().copy() for tensor in tensors]
        if loss < best_loss:
            best_loss, best, waited = loss, reached, 0
        else:
            waited += 1
        if waited >= _PATIENCE:
            break
        if after_epoch is not None:
            after_epoch(reached)
    return best


def standard_scale(embeddings: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and spread of each dimension, to standardise inputs with.

    Args:
        embeddings: [N, D].
        weights: [N].

    Returns:
        mean [D] and scale [D], float64. A scale is at least a tenth of the middle one, and 1 where nothing varies,
        so that a dimension that hardly moved while learning cannot rule the score.
    """
    x = embeddings.astype(np.float64)
    mean = np.average(x, axis=0, weights=weights)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    floor = max(0.1 * float(np.median(scale)), 1e-6)
    return mean, np.where(scale.max() > 1e-6, np.maximum(scale, floor), 1.0)


def check_layers(layers: Layers, mean: np.ndarray, scale: np.ndarray) -> None:
    """Check loaded parts against each other.

    Raises:
        ValueError: where there are no layers, or widths do not follow from one another.
    """
    if not layers:
        raise ValueError("there are no layers")
    width = mean.shape[0] if mean.ndim == 1 and mean.shape == scale.shape else -1
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        if weight.ndim != 2 or weight.shape[0] != width or bias.shape != (1, weight.shape[1]):
            raise ValueError("the widths of the layers do not fit each other")
        width = weight.shape[1]
