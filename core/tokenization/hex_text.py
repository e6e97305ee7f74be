"""P2: flow -> hexadecimal text as token ids, one text for all its packets.

A packet is its direction, its header fields, the start of its payload and PCK. A field is a token group of its own; the
order of a header's fields may be shuffled, as NetGPT does (Meng et al., arXiv 2304.09513), so that a model learns
fields and not places.

What is masked (core/tokenization/packet_fields.py) costs no more than it says: a header field that is hidden whole is
left out, as its place would say the same in every packet (27 of the 40 bytes of IPv4 and TCP); a hidden run inside an
option or the payload becomes one HIDDEN, whatever its length.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from core.records import Flow, Packet
from core.tokenization.packet_fields import PacketFields, packet_fields, runs
from core.tokenization.server_names import hide_names

PAD, PCK, TSK, MASK, HIDDEN, FORWARD, BACKWARD, EOS = range(8)
"""Padding, end of a packet, end of a task's name, place of an answer, hidden bytes, direction of a packet, end."""
FIRST_BYTE = 8
FIRST_PAIR = FIRST_BYTE + 256


@dataclass(frozen=True)
class FlowTokens:
    """A flow as token ids.

    Attributes:
        ids: token ids.
        segments: for each token the number of its packet, from 1; 0 where it belongs to none (EOS).
        offsets: for each token the place of its first byte in `Packet.data`; -1 for those that stand for no byte.
    """

    ids: list[int]
    segments: list[int]
    offsets: list[int]


@dataclass(frozen=True)
class FlowTokenizer:
    """Flows to token ids and back; the same flow and settings give the same ids.

    Attributes:
        unit_bytes: 1, a token a byte; or 2, the paper's: a token for two bytes, and one for the odd byte at the end of
            a field.
        masked: hide what names endpoints, connections and moments.
        hide_names: where `masked`, hide server names in payloads too.
        shuffle_seed: of the order of each header's fields, drawn anew for every packet; None leaves the order sent. The
            payload stays last.
        max_tokens: length at most, EOS included.
        max_packets: the first packets of a flow that are told.
        payload_bytes: first bytes of each payload that are told.
    """

    unit_bytes: int = 1
    masked: bool = True
    hide_names: bool = True
    shuffle_seed: int | None = None
    max_tokens: int = 512
    max_packets: int = 8
    payload_bytes: int = 64

    def __post_init__(self) -> None:
        if self.unit_bytes not in (1, 2):
            raise ValueError(f"unit_bytes is {self.unit_bytes}; expected 1 or 2")

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to this less one."""
        return FIRST_PAIR if self.unit_bytes == 1 else FIRST_PAIR + 65_536

    def encode(self, flow: Flow) -> FlowTokens:
        """Token ids of a flow's first packets, ending in EOS."""
        ids: list[int] = []
        segments: list[int] = []
        offsets: list[int] = []
        order = None
        if self.shuffle_seed is not None and flow.packets:  # not the same for every flow
            order = random.Random(self.shuffle_seed << 32 | zlib.crc32(flow.packets[0].data))  # noqa: S311
        for number, (packet, fields) in enumerate(self._packets(flow), start=1):
            spans = []
            for header in fields.headers:
                if order is not None:
                    order.shuffle(header)
                spans += [span for span in header if fields.hidden.find(0, *span) >= 0]
            spans.append((fields.payload_at, min(fields.payload_at + self.payload_bytes, len(packet.data))))
            ids.append(FORWARD if packet.forward else BACKWARD)
            offsets.append(-1)
            for span in spans:
                for start, end, is_hidden in runs(fields, span):
                    if is_hidden:
                        ids.append(HIDDEN)
                        offsets.append(start)
                    else:
                        ids += self._units(fields.data[start:end])
                        offsets += range(start, end, self.unit_bytes)
            ids.append(PCK)
            offsets.append(-1)
            segments += [number] * (len(ids) - len(segments))
            if len(ids) >= self.max_tokens:
                break
        room = self.max_tokens - 1
        return FlowTokens([*ids[:room], EOS], [*segments[:room], 0], [*offsets[:room], -1])

    def decode(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each packet, up to EOS: the inverse of `encode`, where nothing was hidden or shuffled.

        Hidden bytes are not there; ids that stand for no byte and end no packet are passed over.
        """
        packets, packet = [], bytearray()
        for token in ids:
            if token == EOS:
                break
            if token == PCK:
                packets.append(bytes(packet))
                packet = bytearray()
            elif token >= FIRST_PAIR:
                packet += (token - FIRST_PAIR).to_bytes(2)
            elif token >= FIRST_BYTE:
                packet.append(token - FIRST_BYTE)
        return [*packets, bytes(packet)] if packet else packets

    def hidden(self, flow: Flow) -> list[bytes]:
        """For each packet that is told, and each of its bytes, 1 where it is hidden and 0 where it may be seen."""
        return [bytes(fields.hidden) for _, fields in self._packets(flow)]

    def _packets(self, flow: Flow) -> list[tuple[Packet, PacketFields]]:
        packets = flow.packets[: self.max_packets]
        fields = [packet_fields(packet.data, self.masked) for packet in packets]
        if self.masked and self.hide_names:
            hide_names([(of, packet.forward) for of, packet in zip(fields, packets, strict=True)])
        return list(zip(packets, fields, strict=True))

    def _units(self, data: bytearray) -> list[int]:
        if self.unit_bytes == 1:
            return [FIRST_BYTE + value for value in data]
        pairs = [FIRST_PAIR + (high << 8 | low) for high, low in zip(data[::2], data[1::2], strict=False)]
        return [*pairs, FIRST_BYTE + data[-1]] if len(data) % 2 else pairs
