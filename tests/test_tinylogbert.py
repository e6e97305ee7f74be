"""TinyLogBERT: equal to BertForMaskedLM, the same bits in any company, and safe to load."""

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.config import NetworkConfig
from core.errors import BundleError
from core.networks.encoder import Encoder
from core.networks.packed_layers import PackedHead, PackedLayers
from core.networks.tinylogbert import CLS_ID, MASK_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, TinyLogBert

SMALL = NetworkConfig(vocab_size=300, hidden_size=64, n_layers=2, n_heads=4, max_tokens=128)
TIED = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}


def random_network(config: NetworkConfig, seed: int = 0) -> TinyLogBert:
    torch.manual_seed(seed)
    network = TinyLogBert(config).eval()
    for weight in network.parameters():
        if weight.dim() == 2:
            weight.data.normal_(std=0.1)
        else:  # biases and norms too, or parity would not test them
            weight.data += torch.randn_like(weight) * 0.1
    return network


def random_texts(n: int, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    lengths = [0, 1, 2, 5, 6, 7, 8, 13, 14, 15, 30, 31, 40, 62, 63, 100, 126]
    inner = [[draw.randrange(5, SMALL.vocab_size) for _ in range(draw.choice(lengths))] for _ in range(n)]
    return [[CLS_ID, *tokens, SEP_ID] for tokens in inner]


def hidden_one_by_one(network: TinyLogBert, text: list[int]) -> Iterator[tuple[int, torch.Tensor]]:
    """Each inner position, and the logits there where it alone is hidden."""
    layers, head = PackedLayers(network, torch.float32), PackedHead(network, torch.float32)
    with torch.inference_mode():
        for position in range(1, len(text) - 1):
            masked = [*text[:position], MASK_ID, *text[position + 1 :]]
            hidden = layers(torch.tensor([masked]), torch.ones(1, len(text), dtype=torch.bool))
            yield position, head.logits(hidden[0])[0][position]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> TinyLogBert:
    return random_network(SMALL)


def test_equals_bert_for_masked_lm(network: TinyLogBert) -> None:
    from transformers import BertConfig, BertForMaskedLM

    bert = BertForMaskedLM(
        BertConfig(
            vocab_size=SMALL.vocab_size,
            hidden_size=SMALL.hidden_size,
            num_hidden_layers=SMALL.n_layers,
            num_attention_heads=SMALL.n_heads,
            intermediate_size=4 * SMALL.hidden_size,
            max_position_embeddings=SMALL.max_tokens,
        )
    ).eval()
    assert set(bert.state_dict()) - set(network.state_dict()) == TIED
    missing = bert.load_state_dict(network.state_dict(), strict=False).missing_keys
    assert set(missing) <= TIED
    ids = torch.randint(0, SMALL.vocab_size, (5, 40), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(40) < torch.tensor([[40], [1], [7], [39], [20]])).long()
    with torch.inference_mode():
        theirs = bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden = PackedLayers(network, torch.float32)(ids, mask.bool())
        logits, ready = PackedHead(network, torch.float32).logits(hidden)
    seen = mask.bool()
    torch.testing.assert_close(hidden[seen], theirs.hidden_states[-1][seen], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits[seen], theirs.logits[seen], atol=1e-5, rtol=0)
    read = torch.tensor([[0, 39, 7]] * 5)
    with torch.inference_mode():
        some = PackedLayers(network, torch.float32)(ids, mask.bool(), read)
    torch.testing.assert_close(some, hidden[:, [0, 39, 7]], atol=1e-5, rtol=0)
    likeliest = theirs.logits[0].argmax(-1)
    rounded = PackedHead(network, torch.bfloat16)
    torch.testing.assert_close(rounded.exact(ready[0], likeliest), theirs.logits[0].amax(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_text_has_the_same_bits_in_any_company(network: TinyLogBert, dtype: torch.dtype) -> None:
    encoder = Encoder(network, dtype, goes_on=range(200, SMALL.vocab_size))
    texts = random_texts(150)
    texts += [[*text[:3], 250, 260, *text[5:]] for text in texts if len(text) > 6]  # these share masked copies
    texts += [[*text[:3], 251, 261, *text[5:]] for text in texts if len(text) > 6]
    whole = encoder.encode(texts)
    order = random.Random(1).sample(range(len(texts)), len(texts))
    shuffled = encoder.encode([texts[row] for row in order])
    for name in ("embeddings", "surprise", "expected", "expected_p"):
        assert np.array_equal(getattr(shuffled, name), getattr(whole, name)[order], equal_nan=True)
    for row in range(0, len(texts), 5):
        alone = encoder.encode([texts[row]])
        assert np.array_equal(alone.embeddings[0], whole.embeddings[row])
        assert np.array_equal(alone.surprise[0], whole.surprise[row, : len(texts[row]) - 2])
    embeddings = whole.embeddings
    assert np.array_equal(encoder.embed(texts), embeddings)
    torch.set_num_threads(2)
    assert np.array_equal(encoder.embed(texts), embeddings)


def test_where_a_small_batch_gives_other_bits_a_full_one_is_taken(
    network: TinyLogBert, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random_texts(12, seed=7)
    few = [Encoder(network, torch.float32).encode([text]) for text in texts]
    monkeypatch.setattr(torch, "equal", lambda *_: False)
    encoder = Encoder(network, torch.float32)
    assert encoder._rows_of_batch(1, 16, 1) == 90
    full = [encoder.encode([text]) for text in texts]
    for one, other in zip(few, full, strict=True):
        np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)
        np.testing.assert_allclose(one.surprise, other.surprise, atol=1e-4)


def test_bfloat16_stays_near_float32(network: TinyLogBert) -> None:
    texts = random_texts(40)
    exact = Encoder(network, torch.float32).encode(texts)
    near = Encoder(network, torch.bfloat16).encode(texts)
    distance = np.linalg.norm(near.embeddings - exact.embeddings, axis=1)
    assert (distance / np.linalg.norm(exact.embeddings, axis=1)).max() < 0.02
    assert np.nanmax(np.abs(near.surprise - exact.surprise)) < 0.1


def test_surprise_of_a_short_text_is_its_exact_pseudo_likelihood(network: TinyLogBert) -> None:
    text = [CLS_ID, 17, 250, SEP_ID]
    expected = [-logits.log_softmax(-1)[text[position]].item() for position, logits in hidden_one_by_one(network, text)]
    surprise = Encoder(network, torch.float32).encode([text, random_texts(9)[-1]]).surprise
    np.testing.assert_allclose(surprise[0, :2], expected, atol=1e-4)
    assert np.isnan(surprise[0, 2:]).all()


def test_the_expected_token_is_the_likeliest_where_the_text_is_hidden(network: TinyLogBert) -> None:
    text = [CLS_ID, 17, 250, SEP_ID]
    encoded = Encoder(network, torch.float32).encode([text, random_texts(9)[-1]])
    for position, logits in hidden_one_by_one(network, text):
        best = logits.softmax(-1).max(0)
        assert encoded.expected[0, position - 1] == best.indices
        assert encoded.expected_p[0, position - 1] == pytest.approx(best.values.item(), abs=1e-5)
    assert (encoded.expected[0, 2:] == PAD_ID).all()
    assert np.isnan(encoded.expected_p[0, 2:]).all()


def test_every_other_token_is_hidden_in_each_of_two_passes(network: TinyLogBert) -> None:
    text = [CLS_ID, 17, 250, 33, 99, 7, SEP_ID]
    layers, head = PackedLayers(network, torch.float32), PackedHead(network, torch.float32)
    expected = []
    with torch.inference_mode():
        for position in range(1, 6):
            masked = [MASK_ID if place % 2 == position % 2 and 0 < place < 6 else text[place] for place in range(7)]
            hidden = layers(torch.tensor([masked]), torch.ones(1, 7, dtype=torch.bool))
            expected.append(-head.logits(hidden[0])[0][position].log_softmax(-1)[text[position]].item())
    surprise = Encoder(network, torch.float32).encode([text]).surprise
    np.testing.assert_allclose(surprise[0], expected, atol=1e-4)


def test_the_pieces_of_a_word_do_not_give_each_other_away(network: TinyLogBert) -> None:
    m = MASK_ID
    text = [CLS_ID, 17, 30, 250, 251, 33, SEP_ID]
    passes = {(CLS_ID, m, m, m, m, 33, SEP_ID): [1, 2, 3], (CLS_ID, 17, m, m, m, m, SEP_ID): [4, 5]}
    layers, head = PackedLayers(network, torch.float32), PackedHead(network, torch.float32)
    expected = []
    with torch.inference_mode():
        for masked, positions in passes.items():
            logits, _ = head.logits(layers(torch.tensor([masked]), torch.ones(1, 7, dtype=torch.bool))[0])
            expected += [-logits[position].log_softmax(-1)[text[position]].item() for position in positions]
    surprise = Encoder(network, torch.float32, goes_on=[250, 251]).encode([text]).surprise
    np.testing.assert_allclose(surprise[0], expected, atol=1e-4)


def test_resample_rewrites_only_what_it_is_told_to(network: TinyLogBert) -> None:
    encoder = Encoder(network)
    texts = [text for text in random_texts(80) if len(text) > 4]
    positions = [[1, len(text) - 2] for text in texts]
    rewritten = encoder.resample(texts, positions, seed=3)
    for old, new, changed in zip(texts, rewritten, positions, strict=True):
        assert [p for p in range(len(old)) if old[p] != new[p]] == changed
        assert min(new[p] for p in changed) >= len(SPECIAL_TOKENS)
    assert encoder.resample(texts, positions, seed=3) == rewritten
    assert encoder.resample(texts, positions, seed=4) != rewritten


def test_progress_counts_texts_and_no_text_is_no_error(network: TinyLogBert) -> None:
    seen: list[tuple[str, int, int]] = []
    Encoder(network).embed(random_texts(90), lambda *told: seen.append(told))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("reading with TinyLogBERT", 90, 90)
    nothing = Encoder(network).encode([])
    assert nothing.embeddings.shape == (0, SMALL.hidden_size)
    assert nothing.surprise.shape == (0, 0)


@pytest.mark.parametrize("text", [[CLS_ID, *[7] * 127, SEP_ID], [CLS_ID, 7], [7, SEP_ID], []])
def test_a_text_without_its_frame_or_too_long_is_refused(network: TinyLogBert, text: list[int]) -> None:
    with pytest.raises(ValueError, match="text 1: expected"):
        Encoder(network).embed([[CLS_ID, SEP_ID], text])


def test_saved_and_loaded_it_gives_the_same_result(network: TinyLogBert, tmp_path: Path) -> None:
    network.save(tmp_path)
    loaded = TinyLogBert.load(tmp_path)
    assert loaded.config == SMALL
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.half().float()), name
    loaded.save(tmp_path)
    texts = random_texts(5)
    assert np.array_equal(Encoder(TinyLogBert.load(tmp_path)).embed(texts), Encoder(loaded).embed(texts))


def _truncate(folder: Path) -> None:
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _drop_weights(folder: Path) -> None:
    (folder / "network.safetensors").unlink()


def _garble_description(folder: Path) -> None:
    (folder / "network.json").write_bytes(b"\xff{")


def _describe(folder: Path, **changes: object) -> None:
    path = folder / "network.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _poison(folder: Path) -> None:
    path = folder / "network.safetensors"
    state = load_file(path)
    state["cls.predictions.bias"][7] = float("nan")
    save_file(state, path)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _drop_weights,
        _garble_description,
        _poison,
        lambda folder: _describe(folder, format=2),
        lambda folder: _describe(folder, config={"vocab_size": 300}),
        lambda folder: _describe(folder, config=dataclasses.asdict(SMALL) | {"n_heads": 0}),
        lambda folder: _describe(folder, config=dataclasses.asdict(SMALL) | {"vocab_size": 10**9}),
        lambda folder: _describe(folder, config=dataclasses.asdict(SMALL) | {"n_layers": 3}),
    ],
)
def test_a_damaged_network_is_refused(network: TinyLogBert, tmp_path: Path, damage: object) -> None:
    network.save(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(BundleError, match=str(tmp_path)):
        TinyLogBert.load(tmp_path)
