"""NetGPT: equal to GPT-2, with its cache and without, near itself in any batch, and safe to load."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import BundleError, WorkbenchError
from core.networks.answers import GENERATION, Prompt, Tasks
from core.networks.flow_encoder import FlowEncoder
from core.networks.netgpt import PRESETS, Cache, NetGpt, NetGptConfig, random_netgpt

SMALL = NetGptConfig(vocab_size=60, hidden_size=32, n_layers=2, n_heads=4, max_tokens=48, n_segments=5)
TASKS = Tasks.first(50, task_end=2, answer=3).with_task("kind", ["a", "b", "c"]).with_task("attack", ["no", "yes"])
PACKET_END, END = 1, 7


@pytest.fixture(scope="module")
def network() -> NetGpt:
    """Every weight far from what it starts as: a norm or bias left out would show."""
    network = random_netgpt(SMALL)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight += torch.randn(weight.shape, generator=draw) * 0.2
    return network


def random_prompts(n: int, seed: int = 0) -> list[Prompt]:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 40, n)
    return [
        TASKS.prompt(draw.integers(8, 50, size).tolist(), np.sort(draw.integers(1, 9, size)).tolist(), "kind", SMALL)
        for size in lengths
    ]


def random_ids(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(length)
    ids = torch.randint(0, SMALL.vocab_size, (rows, length), generator=draw)
    return ids, torch.randint(0, SMALL.n_segments, (rows, length), generator=draw)


def test_equals_gpt2_lm_head_model(network: NetGpt) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=SMALL.vocab_size,
            n_embd=SMALL.hidden_size,
            n_layer=SMALL.n_layers,
            n_head=SMALL.n_heads,
            n_positions=SMALL.max_tokens,
            activation_function="gelu",
        )
    ).eval()
    state = {  # their products are stored [in, out]
        name: weight.T if ".c_" in name and weight.dim() == 2 else weight
        for name, weight in network.state_dict().items()
        if name != "transformer.segments.weight"
    }
    assert set(gpt2.state_dict()) - set(state) == {"lm_head.weight"}
    gpt2.load_state_dict(state | {"lm_head.weight": state["transformer.wte.weight"]})
    ids, segments = random_ids(5, 40)
    with torch.inference_mode():
        segmented = gpt2.transformer.wte(ids) + network.transformer["segments"](segments)
        theirs = gpt2(inputs_embeds=segmented, output_hidden_states=True, use_cache=True)
        hidden = network(ids, segments)
        torch.testing.assert_close(hidden, theirs.hidden_states[-1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network.token_logits(hidden), theirs.logits, atol=1e-5, rtol=1e-5)
        in_training = copy.deepcopy(network).train()(ids, segments)
        torch.testing.assert_close(in_training, hidden, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cuts", [[1] * 40, [7, 1, 20, 12], [39, 1]])
def test_read_in_parts_with_the_cache_it_says_the_same(network: NetGpt, cuts: list[int]) -> None:
    ids, segments = random_ids(3, 40)
    cache: Cache = []
    with torch.inference_mode():
        whole = network(ids, segments)
        parts = [network(*part, cache) for part in zip(ids.split(cuts, 1), segments.split(cuts, 1), strict=True)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
    assert [tuple(keys.shape) for keys, _ in cache] == [(3, 4, 40, 8)] * 2


def test_a_token_knows_none_after_it(network: NetGpt) -> None:
    ids, segments = random_ids(1, 30)
    other = ids.clone()
    other[:, 20:] = (other[:, 20:] + 1) % SMALL.vocab_size
    with torch.inference_mode():
        before, after = network(ids, segments), network(other, segments)
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_a_flow_in_company_is_near_itself_alone(network: NetGpt, dtype: torch.dtype, tolerance: float) -> None:
    prompts = random_prompts(40)
    encoder = FlowEncoder(network, dtype)
    together = encoder.encode(prompts)
    answers = encoder.answer(prompts, TASKS["kind"])
    for row, prompt in enumerate(prompts):
        alone = encoder.encode([prompt])
        for name in ("embeddings", "last"):
            mine, theirs = getattr(alone, name)[0], getattr(together, name)[row]
            assert np.linalg.norm(mine - theirs) <= tolerance * np.linalg.norm(mine)
        n = len(prompt.ids)
        np.testing.assert_allclose(alone.surprise[0, 1:n], together.surprise[row, 1:n], atol=10 * tolerance)
        assert np.isnan(together.surprise[row, [0, *range(n, together.surprise.shape[1])]]).all()
        np.testing.assert_allclose(encoder.answer([prompt], TASKS["kind"])[0], answers[row], atol=10 * tolerance)
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)


def test_surprise_is_the_exact_likelihood_and_the_mean_leaves_padding_out(network: NetGpt) -> None:
    prompts = random_prompts(6)
    encoded = FlowEncoder(network, torch.float32).encode(prompts)
    for row, prompt in enumerate(prompts):
        with torch.inference_mode():
            hidden = network(torch.tensor(prompt.ids)[None], torch.tensor(prompt.segments)[None])[0]
            log_p = network.token_logits(hidden).log_softmax(-1)
        expected = [-log_p[at - 1, prompt.ids[at]].item() for at in range(1, len(prompt.ids))]
        np.testing.assert_allclose(encoded.surprise[row, 1 : len(prompt.ids)], expected, atol=1e-4)
        mean = -(log_p.exp() * log_p).sum(-1)[:-1]  # of the surprise, over what the network expects
        np.testing.assert_allclose(encoded.entropy[row, 1 : len(prompt.ids)], mean, atol=1e-4)
        np.testing.assert_allclose(encoded.embeddings[row], hidden.mean(0), atol=1e-4)
        np.testing.assert_allclose(encoded.last[row], hidden[-1], atol=1e-4)


def test_the_presets_have_the_sizes_they_promise() -> None:
    with torch.device("meta"):
        sizes = {
            name: sum(weight.numel() for weight in NetGpt(NetGptConfig(vocab_size=300, **shape)).parameters())
            for name, shape in PRESETS.items()
        }
    assert 0.8e6 < sizes["tiny"] < 1e6
    assert 3e6 < sizes["small"] < 4e6
    assert 80e6 < sizes["base"] < 90e6


def test_generated_flows_follow_the_seed_and_number_their_packets(network: NetGpt) -> None:
    encoder = FlowEncoder(network, torch.float32)
    start = TASKS.prompt([], [], GENERATION, SMALL)

    def write(**settings: float) -> list[list[int]]:
        return encoder.generate(start, 8, packet_end=PACKET_END, end=END, vocab_size=50, **settings)  # type: ignore[arg-type]

    texts = write(seed=3)
    assert texts == write(seed=3)
    assert texts != write(seed=4)
    assert all(token < 50 and token != END for text in texts for token in text)
    assert max(map(len, texts)) <= SMALL.max_tokens - 2
    # Near temperature 0 each token is the likeliest after those before it, as read without a cache.
    (text,) = {tuple(text) for text in write(temperature=1e-4)}
    packets = [1 + sum(token == PACKET_END for token in text[:at]) for at in range(len(text))]
    ids, segments = start.ids.tolist(), start.segments.tolist()
    with torch.inference_mode():
        for token, packet in zip(text, packets, strict=True):
            logits = network.token_logits(network(torch.tensor([ids]), torch.tensor([segments]))[0, -1])[:50]
            assert logits.argmax() == token
            ids.append(token)
            segments.append(min(packet, SMALL.n_segments - 1))
    with pytest.raises(ValueError, match="temperature"):
        write(temperature=0.0)


def test_a_prompt_asks_its_task_and_is_cut_to_fit() -> None:
    prompt = TASKS.prompt([10, 11, 1, 12], [1, 1, 1, 2], "attack", SMALL)
    assert prompt.ids.tolist() == [55, 2, 10, 11, 1, 12, 3]
    assert prompt.segments.tolist() == [0, 0, 1, 1, 1, 2, 0]
    assert TASKS.prompt([10], [1], GENERATION, SMALL).ids.tolist() == [50, 2, 10]
    cut = TASKS.prompt([10] * 99, [9] * 99, "kind", SMALL)
    assert (len(cut.ids), cut.ids[-1], cut.segments.max()) == (48, 3, 4)
    assert TASKS["attack"].label_tokens == range(56, 58)
    assert (TASKS["attack"].answer_token("yes"), TASKS.vocab_size) == (57, 58)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: TASKS["colour"], "no task 'colour'"),
        (lambda: TASKS.with_task("kind", ["x", "y"]), "already"),
        (lambda: TASKS.with_task("other", ["x", "x"]), "two different labels"),
        (lambda: TASKS["kind"].answer_token("z"), "no label 'z'"),
    ],
)
def test_unusable_tasks_are_refused(use: Callable[[], object], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        use()


def test_grown_it_knows_what_it_knew(network: NetGpt) -> None:
    grown = network.grown(70)
    ids, segments = random_ids(2, 20)
    with torch.inference_mode():
        assert torch.equal(grown(ids, segments), network(ids, segments))
    assert grown.config.vocab_size == len(grown.transformer["wte"].weight) == 70
    assert torch.equal(grown.transformer["wte"].weight, network.grown(70).transformer["wte"].weight)
    with pytest.raises(ValueError, match="less than"):
        network.grown(59)


def test_saved_and_loaded_it_gives_the_same_result(network: NetGpt, tmp_path: Path) -> None:
    network.save(tmp_path)
    TASKS.save(tmp_path)
    loaded = NetGpt.load(tmp_path)
    assert loaded.config == SMALL
    assert Tasks.load(tmp_path) == TASKS
    for name, weight in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.half().float()), name
    loaded.save(tmp_path)
    prompts = random_prompts(5)
    again = FlowEncoder(NetGpt.load(tmp_path)).encode(prompts)
    assert np.array_equal(again.embeddings, FlowEncoder(loaded).encode(prompts).embeddings)
    with pytest.raises(ValueError, match="prompt 1: expected 1 to 48"):
        FlowEncoder(loaded).encode([prompts[0], Prompt(np.zeros(49, np.int64), np.zeros(49, np.int64))])


def _describe(name: str, **changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def _truncate(folder: Path) -> None:
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _poison(folder: Path) -> None:
    path = folder / "network.safetensors"
    state = load_file(path)
    state["transformer.ln_f.bias"][7] = float("nan")
    save_file(state, path)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _poison,
        lambda folder: (folder / "network.safetensors").unlink(),
        lambda folder: (folder / "network.json").write_bytes(b"\xff{"),
        _describe("network.json", format=2),
        _describe("network.json", network="TinyLogBERT"),
        _describe("network.json", config={"vocab_size": 60}),
        _describe("network.json", config=dataclasses.asdict(SMALL) | {"n_heads": 5}),
        _describe("network.json", config=dataclasses.asdict(SMALL) | {"vocab_size": 10**9}),
        _describe("network.json", config=dataclasses.asdict(SMALL) | {"n_layers": 3}),
        lambda folder: (folder / "tasks.json").unlink(),
        lambda folder: (folder / "tasks.json").write_text("[]"),
        _describe("tasks.json", format=2),
        _describe("tasks.json", tasks=[]),
        _describe("tasks.json", answer=-1),
        _describe("tasks.json", tasks=[{"name": GENERATION, "token": 9, "labels": []}, {"name": "a", "token": 9}]),
        _describe(
            "tasks.json",
            tasks=[
                {"name": GENERATION, "token": 9, "labels": []},
                {"name": "a", "token": 99, "labels": ["x", "y"]},
            ],
        ),
    ],
)
def test_a_damaged_bundle_is_refused(network: NetGpt, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    network.save(tmp_path)
    TASKS.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(BundleError, match=str(tmp_path)):
        NetGpt.load(tmp_path)
        Tasks.load(tmp_path)
