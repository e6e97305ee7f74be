"""What everyday lines score: by hand, as a share of what came, and the same on every face."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from core import workbench
from core.cli import main
from core.config import Config, ReadConfig
from core.detector import LogDetector
from core.drift import drift
from core.errors import BundleError, WorkbenchError
from core.scoring.everyday import Everyday, at_or_above, lowest_threshold, unforeseen
from core.tokenization.normalize import Normalizer, formats_of
from tests.builders import access_log, write_log

LEARNT = pl.DataFrame(
    {
        "format": ["web"] * 4 + ["auth"],
        "text": [0, 1, 2, 3, 4],
        "count": [6, 2, 1, 1, 5],
        "score": [0.1, 0.3, 0.6, 0.5, 0.2],
    }
)
HELD_BACK = pl.DataFrame({"format": ["web", "web", "web", "web"], "score": [0.4, 0.4, 0.4, 0.8]})


@pytest.fixture
def everyday() -> Everyday:
    return Everyday.of(LEARNT, HELD_BACK)


# ---- by hand


def test_texts_seen_once_stand_for_those_never_seen(everyday: Everyday) -> None:
    # Of ten lines on the web two had a text of their own: a fifth of what comes is new, and scores as what was held
    # back did. Nothing of auth was held back, nor came once.
    rows = everyday.rows.select("format", "text", "score", "share").rows()
    assert rows == [
        ("web", 0, 0.1, 0.6),
        ("web", 1, 0.3, 0.2),
        ("auth", 4, 0.2, 1.0),
        ("web", -1, 0.4, 0.05),
        ("web", -1, 0.4, 0.05),
        ("web", -1, 0.4, 0.05),
        ("web", -1, 0.8, 0.05),
    ]


def test_a_log_is_foreseen_by_its_formats(everyday: Everyday) -> None:
    found = everyday.expected({"web": 20, "other": 5}, in_context=False)
    assert found is not None
    assert found["score"].to_list() == [0.1, 0.3, 0.4, 0.8]
    assert found["lines"].to_list() == pytest.approx([12, 4, 3, 1])
    # A known text is there unless none of its lines comes; every line never seen is a message.
    assert found["messages"].to_list() == pytest.approx([1 - np.exp(-12), 1 - np.exp(-4), 3, 1])
    assert found["new"].to_list() == pytest.approx([0, 0, 3, 1])
    assert at_or_above(found, 0.3) == pytest.approx({"lines": 8, "messages": 5 - np.exp(-4), "new": 4})
    assert at_or_above(found, 0.9) == {"lines": 0, "messages": 0, "new": 0}
    assert everyday.expected({"web": 20, "other": 21}, in_context=False) is None, "most of it was never learnt"
    assert everyday.expected({}, in_context=False) is None


def test_lines_keep_the_context_they_had(everyday: Everyday) -> None:
    parts = pl.DataFrame(
        {"text": [1, 9], "context": [0.1, 0.5], "part": [0.5, 1.0]}
    )  # 9 was left out of what is learnt
    parted = everyday.in_context(parts)
    alone, raised = (parted.expected({"web": 20}, in_context=given) for given in (False, True))
    assert alone is not None
    assert raised is not None
    assert alone["lines"].to_list() == pytest.approx([12, 4, 3, 1])
    # Half of text 1, in a context of 0.1: 1 - 0.7 / 2.
    assert raised["score"].to_list() == [0.1, 0.3, 0.4, 0.65, 0.8]
    assert raised["lines"].to_list() == pytest.approx([12, 2, 3, 2, 1])


def test_without_texts_held_back_those_seen_once_are_as_good_as_new() -> None:
    found = Everyday.of(LEARNT, HELD_BACK.clear()).expected({"web": 10}, in_context=False)
    assert found is not None
    assert dict(found.select("score", "lines").iter_rows()) == pytest.approx({0.1: 6, 0.3: 2, 0.5: 1, 0.6: 1})


def test_more_new_messages_than_chance_brings(everyday: Everyday) -> None:
    found = everyday.expected({"web": 20}, in_context=False)
    assert found is not None  # three new ones to expect below 0.5, and one of doubt
    assert unforeseen(found, np.full(8, 0.4), 0.5) is None, "not twice as many"
    assert unforeseen(found, np.full(10, 0.4), 0.5) is None, "one time in a hundred by chance"
    told = unforeseen(found, np.full(14, 0.4), 0.5)
    assert told is not None
    assert (told[0], round(told[1], 9)) == (14, 3.0)
    assert unforeseen(found, np.full(100, 0.9), 0.5) is None, "these are flagged, and may be what is looked for"


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100)), min_size=1, max_size=30),
    st.lists(st.integers(0, 100), max_size=5),
    st.integers(1, 10_000),
)
def test_all_lines_are_accounted_for(texts: list[tuple[int, int]], held: list[int], n_lines: int) -> None:
    learnt = pl.DataFrame(
        {
            "format": ["plain"] * len(texts),
            "text": range(len(texts)),
            "count": [count for count, _ in texts],
            "score": [score / 100 for _, score in texts],
        }
    )
    unseen = pl.DataFrame(
        {"format": ["plain"] * len(held), "score": [score / 100 for score in held]},
        schema={"format": pl.String, "score": pl.Float64},
    )
    found = Everyday.of(learnt, unseen).expected({"plain": n_lines}, in_context=True)
    assert found is not None
    assert found["lines"].sum() == pytest.approx(n_lines)
    assert (found["messages"] <= found["lines"] + 1e-9).all()
    assert (found["new"] <= found["messages"] + 1e-9).all()
    assert found["score"].is_sorted()


# ---- in a bundle


def test_it_is_stored_with_the_bundle_and_damage_is_said_so(everyday: Everyday, tmp_path: Path) -> None:
    everyday.save(tmp_path / "everyday")
    back = Everyday.load(tmp_path / "everyday")
    assert back.rows.equals(everyday.rows)
    (tmp_path / "everyday" / "formats.json").write_text('["web"]')
    with pytest.raises(BundleError, match="out of range"):
        Everyday.load(tmp_path / "everyday")
    Everyday(everyday.rows.with_columns(share=pl.lit(float("nan")))).save(tmp_path / "nan")
    with pytest.raises(BundleError, match="out of range"):
        Everyday.load(tmp_path / "nan")
    (tmp_path / "everyday" / "arrays.safetensors").write_bytes(b"cut")
    with pytest.raises(BundleError, match="train the model again"):
        Everyday.load(tmp_path / "everyday")


def test_formats_are_those_that_reading_counts() -> None:
    lines = [
        '203.0.113.5 - - [10/Oct/2023:13:55:36 +0000] "GET / HTTP/1.1" 200 2326 "-" "curl/8"',
        "Nov 23 06:00:01 web sshd[312]: Failed password for root from 203.0.113.9 port 22 ssh2",
        '{"message": "2023-10-10 13:55:36,123 INFO started"}',
        "nothing in particular",
    ]
    normalizer = Normalizer(ReadConfig())
    normalizer.process(1, pl.Series(lines))
    found = formats_of(pl.Series(lines), ReadConfig())
    assert dict(found.value_counts().iter_rows()) == normalizer.format_counts
    assert found.n_unique() == 4


def test_what_is_said_of_everyday_lines_is_what_comes() -> None:
    lines, _ = access_log(6_000)
    texts = [Normalizer(ReadConfig()) for _ in range(2)]
    for normalizer, part in zip(texts, (lines[:4_000], lines[4_000:]), strict=True):
        normalizer.process(1, pl.Series(part))
    detector = LogDetector(workbench.quick(Config())).fit(texts[0].texts())
    assert detector.everyday_ is not None
    said = detector.everyday_.expected(texts[1].format_counts, in_context=False)
    assert said is not None
    found = detector.score(texts[1].texts())
    assert said["messages"].sum() == pytest.approx(len(found), rel=0.2)
    for threshold in (0.1, 0.2, 0.3):
        came = int(found.filter(pl.col("score") >= threshold)["count"].sum())
        assert at_or_above(said, threshold)["lines"] == pytest.approx(came, rel=0.5, abs=20)


def test_a_model_of_before_and_a_log_against_itself_foresee_nothing(tmp_path: Path, bundles: Path, monkeypatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    log = write_log(tmp_path / "new.log", access_log(200, 5, seed=1)[0])
    itself = workbench.score([log], None, workbench.quick(Config()))
    assert workbench.false_alarms_to_expect(workbench.run(itself.run_id), 0.5) is None
    detector = LogDetector.load(bundles / "base")
    detector.everyday_ = None
    detector.save(tmp_path / "before")
    assert not (tmp_path / "before" / "everyday").exists()
    before = workbench.score([log], str(tmp_path / "before"))
    assert workbench.false_alarms_to_expect(workbench.run(before.run_id), 0.5) is None


# ---- on every face


def test_command_line_report_and_drift_say_the_same(tmp_path: Path, bundles: Path, monkeypatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    log = write_log(tmp_path / "new.log", access_log(200, 5, seed=1)[0])
    said = CliRunner().invoke(main, ["score", str(log), "--model", "base", "--json"], catch_exceptions=False)
    info = json.loads(said.stdout)
    reader = workbench.run(info["run_id"])
    expected = workbench.false_alarms_to_expect(reader, info["threshold"])
    assert expected is not None
    assert info["false_alarms_to_expect"] == {name: round(value, 1) for name, value in expected.items()}
    assert 0 < expected["messages"] <= expected["lines"] < 0.05 * 200
    words = CliRunner().invoke(main, ["score", str(log), "--model", "base"], catch_exceptions=False).stdout
    assert f"false alarms to expect: {expected['lines']:,.0f} lines, {expected['messages']:,.0f} messages" in words
    page = workbench.report_html(info["run_id"])
    assert f"{expected['lines']:,.0f} lines, {expected['messages']:,.0f} messages" in page
    everyday = reader.everyday()
    assert everyday is not None
    assert workbench.drift_of(info["run_id"]).n_new_expected == pytest.approx(everyday["new"].sum())


def test_the_command_line_goes_where_so_many_false_alarms_are_to_be_expected(
    tmp_path: Path, bundles: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    log, output = write_log(tmp_path / "new.log", access_log(200, 5, seed=1)[0]), tmp_path / "out.csv"
    asked = ["score", str(log), "--json", "--output", str(output)]
    said = CliRunner().invoke(main, [*asked, "--model", "base", "--false-alarms", "8"], catch_exceptions=False)
    found = json.loads(said.stdout)
    reader = workbench.run(found["run_id"])
    below = workbench.false_alarms_to_expect(reader, found["threshold"] - 1e-4)
    assert below is not None
    assert found["false_alarms_to_expect"]["lines"] < 8.5 <= below["lines"], "the lowest with so few"
    assert workbench.threshold(found["run_id"]) == found["threshold"] < reader.info.threshold
    assert pl.read_csv(output)["is_anomaly"].sum() == found["n_flagged"] == reader.flagged(found["threshold"])
    refused = CliRunner().invoke(main, [*asked, "--quick", "--false-alarms", "8"])
    assert (refused.exit_code, "needs --model" in refused.stderr) == (2, True)
    itself = workbench.score([log], None, workbench.quick(Config()))
    with pytest.raises(WorkbenchError, match="train one on normal lines"):
        workbench.threshold_for_false_alarms(workbench.run(itself.run_id), 8)


def test_the_lowest_threshold_by_hand(everyday: Everyday) -> None:
    found = everyday.expected({"web": 20}, in_context=False)  # 12 lines of 0.1, 4 of 0.3, 3 of 0.4, 1 of 0.8
    assert found is not None
    assert [lowest_threshold(found, most) for most in (0, 1, 3.6, 4, 8, 19, 20)] == [
        0.8001, 0.4001, 0.3001, 0.3001, 0.1001, 0.1001, 0.0001,
    ]  # fmt: skip


def test_a_bundle_says_what_share_of_messages_its_threshold_flags(bundles: Path, monkeypatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    details = workbench.model_details("base")
    share = details.facts["messages_flagged"]
    assert 0 < share < 1
    assert f"like the learnt ones: {share:.1%} of their messages" in details.card
    weights = {**details.config["scoring"]["weights"], "novelty": 0.1}
    workbench.derive_model("base", "other", weights, 0.4)
    try:
        assert LogDetector.load(bundles / "other").everyday_ is None, "other weights, other scores"
        assert "messages_flagged" not in workbench.model_details("other").facts
    finally:
        workbench.delete_model("other")


def test_a_log_whose_ordinary_lines_have_changed_says_so(tmp_path: Path, bundles: Path, monkeypatch) -> None:
    monkeypatch.setenv("TINYLOGBERT_MODELS", str(bundles))
    lines = access_log(400, seed=2)[0]
    places = [
        "amber",
        "birch",
        "cedar",
        "delta",
        "ember",
        "fjord",
        "grove",
        "haven",
        "inlet",
        "jetty",
        "knoll",
        "ledge",
    ]
    moved = [line.replace("/static/", f"/{places[no % len(places)]}/") for no, line in enumerate(lines)]
    usual = workbench.score([write_log(tmp_path / "usual.log", lines)], "base")
    assert not [note for note in usual.notes if "has changed" in note]
    other = workbench.score([write_log(tmp_path / "moved.log", moved)], "base")
    reader = workbench.run(other.run_id)
    everyday, texts = reader.everyday(), reader.texts()
    assert everyday is not None
    new = texts.filter(pl.col("raw_novelty") == 1.0)["score"].to_numpy()
    changed = unforeseen(everyday, new, other.threshold)
    assert changed is not None
    assert changed[0] == int((new < other.threshold).sum()) > 2 * changed[1]
    [note] = [note for note in other.notes if "has changed" in note]
    assert note.startswith(
        f"{changed[0]} messages below the threshold were never learnt, where about {changed[1]:.0f} "
    )
    learnt = pl.DataFrame({"normalized_text": ["none"], "count": [1]})
    warned = drift(texts, learnt, 0.9, 0.01, 0.0, 0.1, everyday).warnings  # all below the threshold, none of it learnt
    assert "what is ordinary has changed since the model learnt" in warned[0]
