"""Prompts of flows -> embedding, surprise of each token, answers to tasks; and flows that were never seen, generated.

A flow's result depends on its batch only through the rounding of sums: within 1e-5 of an embedding's length in
float32, 0.02 in bfloat16.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from core.networks.answers import Prompt, Task
from core.networks.cores import cores
from core.networks.encoder import has_bfloat16
from core.networks.netgpt import Cache, NetGpt
from core.records import Progress, no_progress

BATCH_TOKENS = 2_048  # of a batch, padding included; more leaves the cache and is slower


@dataclasses.dataclass(frozen=True)
class EncodedFlows:
    """What `FlowEncoder.encode` makes of N prompts.

    Attributes:
        embeddings: [N, D] float32, the mean hidden state of a prompt's tokens.
        last: [N, D] float32, the hidden state of its last token, which has read all of them.
        surprise: [N, T] float32 in nats, 0 or more, higher is stranger: -ln p of each token given those before it; NaN
            for the first, which nothing stands before, and past the last.
        entropy: [N, T] float32 in nats, the surprise that the network itself expects in that place; NaN likewise.
    """

    embeddings: np.ndarray
    last: np.ndarray
    surprise: np.ndarray
    entropy: np.ndarray


class FlowEncoder:
    """Runs a network over prompts.

    Args:
        network: a trained network; it is copied, not changed.
        dtype: of the layers; None takes bfloat16 where the processor multiplies it itself, else float32. Logits are
            always float32: a bfloat16 logit of 15 would be rounded to steps of 0.06.

    Attributes:
        precision: "bfloat16" or "float32", as chosen.
    """

    def __init__(self, network: NetGpt, dtype: torch.dtype | None = None) -> None:
        if dtype is None:
            dtype = torch.bfloat16 if has_bfloat16() else torch.float32
        self.config = network.config
        self.precision = str(dtype).removeprefix("torch.")
        self.network = copy.deepcopy(network).float().eval()
        self._layers = copy.deepcopy(network).to(dtype).eval()

    @torch.inference_mode()
    def encode(self, prompts: Sequence[Prompt], progress: Progress = no_progress) -> EncodedFlows:
        """Embeddings and the surprise of each token.

        Raises:
            ValueError: where a prompt is empty or too long for the network.
        """
        n, width = len(prompts), self.config.hidden_size
        longest = max((len(prompt.ids) for prompt in prompts), default=0)
        encoded = EncodedFlows(
            embeddings=np.empty((n, width), np.float32),
            last=np.empty((n, width), np.float32),
            surprise=np.full((n, longest), np.nan, np.float32),
            entropy=np.full((n, longest), np.nan, np.float32),
        )

        def encode_batch(rows: list[int], batch: Batch) -> None:
            hidden = self._layers(batch.ids, batch.segments).float()  # [B, T, D]
            encoded.embeddings[rows] = ((hidden * batch.real[..., None]).sum(1) / batch.lengths[:, None]).numpy()
            encoded.last[rows] = hidden[torch.arange(len(rows)), batch.lengths - 1].numpy()
            log_p = self.network.token_logits(hidden[:, :-1]).log_softmax(-1)  # [B, T-1, V]
            found = (
                (encoded.surprise, -log_p.gather(2, batch.ids[:, 1:, None])[..., 0]),
                (encoded.entropy, -(log_p.exp() * log_p).sum(-1)),
            )
            for kept, values in found:
                values[~batch.real[:, 1:]] = torch.nan
                kept[rows, 1 : batch.ids.shape[1]] = values.numpy()

        self._each_batch(prompts, encode_batch, progress)
        return encoded

    @torch.inference_mode()
    def answer(self, prompts: Sequence[Prompt], task: Task, progress: Progress = no_progress) -> np.ndarray:
        """[N, L] float32, the probability of each of the task's labels after the prompts' last token.

        Raises:
            ValueError: where a prompt is empty or too long for the network.
        """
        found = np.empty((len(prompts), len(task.labels)), np.float32)
        labels = slice(task.label_tokens.start, task.label_tokens.stop)

        def answer_batch(rows: list[int], batch: Batch) -> None:
            hidden = self._layers(batch.ids, batch.segments)[torch.arange(len(rows)), batch.lengths - 1]  # [B, D]
            found[rows] = self.network.token_logits(hidden.float())[:, labels].softmax(-1).numpy()

        self._each_batch(prompts, answer_batch, progress)
        return found

    @torch.inference_mode()
    def generate(
        self,
        prompt: Prompt,
        n: int,
        *,
        packet_end: int,
        end: int,
        vocab_size: int,
        temperature: float = 1.0,
        max_tokens: int | None = None,
        seed: int = 0,
        progress: Progress = no_progress,
    ) -> list[list[int]]:
        """Flows that go on from a prompt: each token is drawn from what the network expects next.

        Args:
            prompt: where each starts: the task `GENERATION`, and a flow's first tokens where one is to be continued.
            n: flows.
            packet_end: the tokenizer's [pck]; the next token belongs to the next packet.
            end: the token after which a flow is over; it is not part of the result.
            vocab_size: the tokenizer's: tokens of tasks and labels are never drawn.
            temperature: above 0; below 1 the likeliest are drawn more often.
            max_tokens: of a flow, its prompt included; None for as many as the network reads.
            seed: of the draws.
            progress: told the tokens written.

        Returns:
            The tokens after the prompt of each flow.

        Raises:
            ValueError: where the temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, found {temperature}")
        draw = torch.Generator().manual_seed(seed)
        most = min(max_tokens or self.config.max_tokens, self.config.max_tokens) - len(prompt.ids)
        packet = int(prompt.segments.max(initial=0)) or 1
        packets = torch.full((n,), packet + (prompt.ids[-1] == packet_end))
        ids = torch.from_numpy(prompt.ids).expand(n, -1)
        segments = torch.from_numpy(prompt.segments).expand(n, -1)
        cache: Cache = []
        written: list[Tensor] = []
        going = torch.ones(n, dtype=torch.bool)
        for step in range(most):
            hidden = self._layers(ids, segments, cache)[:, -1].float()
            logits = self.network.token_logits(hidden)[:, :vocab_size] / temperature
            drawn = logits.softmax(-1).multinomial(1, generator=draw)[:, 0]
            going &= drawn != end
            if not going.any():
                break
            written.append(torch.where(going, drawn, end))
            ids, segments = drawn[:, None], packets.clamp(max=self.config.n_segments - 1)[:, None]
            packets = packets + (drawn == packet_end)
            progress("writing with NetGPT", step + 1, most)
        texts = torch.stack(written, 1).tolist() if written else [[] for _ in range(n)]
        return [text[: text.index(end)] if end in text else text for text in texts]

    def _each_batch(
        self, prompts: Sequence[Prompt], work: Callable[[list[int], Batch], None], progress: Progress
    ) -> None:
        """Call `work` with each batch, several at once."""
        batches = list(self._batches(prompts))

        @torch.inference_mode()
        def alone(rows: list[int]) -> None:
            work(rows, Batch.of([prompts[row] for row in rows]))

        with cores() as pool:
            pending = [pool.submit(alone, rows) for rows in batches]
            done = 0
            for rows, future in zip(batches, pending, strict=True):
                future.result()
                done += len(rows)
                progress("reading with NetGPT", done, len(prompts))

    def _batches(self, prompts: Sequence[Prompt]) -> Iterator[list[int]]:
        """Row numbers of each batch, by falling length: what needs most memory and time comes first."""
        for number, prompt in enumerate(prompts):
            if not 1 <= len(prompt.ids) <= self.config.max_tokens:
                raise ValueError(
                    f"prompt {number}: expected 1 to {self.config.max_tokens} tokens, found {len(prompt.ids)}"
                )
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row].ids))
        done = 0
        while done < len(order):
            rows = order[done : done + max(1, BATCH_TOKENS // len(prompts[order[done]].ids))]
            yield rows
            done += len(rows)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Prompts as tensors, padded on the right with zeros.

    Attributes:
        ids: [B, T] int64.
        segments: [B, T] int64.
        lengths: [B] int64.
        answers: [B] int64, as in `Prompt`.
    """

    ids: Tensor
    segments: Tensor
    lengths: Tensor
    answers: Tensor

    @property
    def real(self) -> Tensor:
        """[B, T] bool, false for padding."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> Batch:
        """Prompts of any lengths; the longest sets T."""
        longest = max(len(prompt.ids) for prompt in prompts)
        ids, segments = np.zeros((2, len(prompts), longest), np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.ids)] = prompt.ids
            segments[row, : len(prompt.ids)] = prompt.segments
        lengths = torch.tensor([len(prompt.ids) for prompt in prompts])
        answers = torch.tensor([prompt.answer for prompt in prompts])
        return cls(torch.from_numpy(ids), torch.from_numpy(segments), lengths, answers)

    def split(self, n: int) -> list[Batch]:
        """At most n batches of about as many rows; padded as this one is."""
        fields = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return [Batch(*(field[start::n] for field in fields)) for start in range(min(n, len(self.ids)))]

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))
