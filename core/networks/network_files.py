"""A network in a bundle: `network.json` says its shape, `network.safetensors` holds its weights in float16."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import BundleError

FORMAT = 1
Network = TypeVar("Network", bound=nn.Module)
Shape = TypeVar("Shape")


def save_network(folder: Path, network: nn.Module, shape: Any, name: str | None) -> None:
    """Write both files into an existing folder.

    Args:
        folder: of the bundle.
        network: whose weights are kept.
        shape: a dataclass of whole numbers.
        name: of the kind of network; TinyLogBERT's files name none.
    """
    state = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "network.safetensors")
    named = {} if name is None else {"network": name}
    described = {"format": FORMAT, **named, "config": dataclasses.asdict(shape)}
    (folder / "network.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def load_network(folder: Path, make: Callable[[Shape], Network], shape: type[Shape], name: str | None) -> Network:
    """Read what `save_network` wrote, as float32, ready to be asked.

    Args:
        folder: of the bundle.
        make: a network of a shape.
        shape: the dataclass of its shape.
        name: as it was saved with.

    Raises:
        BundleError: where a file is missing, damaged, of another format or network, or does not fit the other.
    """
    path = folder / "network.json"
    try:
        described = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); train the model again") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT or described.get("network") != name:
        raise BundleError(
            f"{path}: not a {name or 'TinyLogBERT'} of format {FORMAT}; train the model again with this version"
        )
    config = _checked(described.get("config"), shape, path)

    path = folder / "network.safetensors"
    try:
        state = {name: tensor.to(torch.float32) for name, tensor in load_file(path).items()}
        network = with_weights(make, config, state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"{path}: damaged or not the network of its network.json: {error}") from error
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise BundleError(f"{path}: damaged, some weights are not finite; train the model again")
    return network


def with_weights(make: Callable[[Shape], Network], config: Shape, state: dict[str, Tensor]) -> Network:
    """A network of a shape with these weights, ready to be asked.

    Raises:
        RuntimeError: where they are not those of the shape.
    """
    with torch.device("meta"):  # no memory is taken for sizes that the weights may not have
        network = make(config)
    network.load_state_dict(state, assign=True)
    return network.eval()


def _checked(values: Any, shape: type[Shape], path: Path) -> Shape:
    names = {field.name for field in dataclasses.fields(shape)}  # type: ignore[arg-type]
    if (
        not isinstance(values, dict)
        or set(values) != names
        or not all(type(value) is int and value > 0 for value in values.values())
        or values["hidden_size"] % values["n_heads"]
    ):
        raise BundleError(f"{path}: config must give {', '.join(sorted(names))} as positive whole numbers")
    return shape(**values)
