"""Lines in the context of their source: the formula, what it leaves alone, and the run it makes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import workbench
from core.config import Config
from core.scoring.context import UNUSUAL_SOURCE, contexts, in_context, parted, raised
from tests.builders import access_log, write_labelled, write_log

SCORERS = ("novelty", "tfidf", "shape", "severity")
NOISY = "198.51.100.9"
PROBES = [
    "/admin.bak",
    "/.git/HEAD",
    "/cgi-bin/test",
    "/phpinfo",
    "/old/backup.zip",
    "/.env",
    "/manager/html",
    "/xmlrpc",
]


def counts_of(rows: list[tuple[str, int, int]]) -> pl.DataFrame:
    schema = {"session": pl.String, "text_id": pl.UInt32, "count": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(burst=pl.lit(0.0))


def texts_of(scores: list[float], counts: list[int] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {"text_id": range(len(scores)), "score": scores, "count": counts or [1] * len(scores)},
        schema={"text_id": pl.UInt32, "score": pl.Float64, "count": pl.Int64},
    )


# ---- the formula


def test_contexts_by_hand() -> None:
    texts = texts_of([0.8, 0.1, 0.0])
    everyday = 0.0
    # a: ten lines of 0.8: the other nine sum to 7.2 over 9 + 3 lines; b: the everyday; c: alone.
    found = contexts(counts_of([("a", 0, 10), ("b", 1, 1), ("b", 2, 99), ("c", 0, 1)]), texts, everyday)
    assert found["context"].to_list() == [0.55, 0.0, 0.0, 0.0]
    two_odd = contexts(counts_of([("a", 0, 2)]), texts, everyday)
    assert two_odd["context"].to_list() == [0.15]  # 0.8 / 4 - 0.05
    mixed = contexts(counts_of([("a", 0, 2), ("a", 1, 3)]), texts, everyday)  # 1.1 / 7, 1.8 / 7
    assert mixed["context"].to_list() == [0.11, 0.21]
    # Where 0.2 is everyday the nine others are 0.6 above it, over 9 + 3 lines; a source of such lines adds nothing.
    noisy = contexts(counts_of([("a", 0, 10), ("b", 1, 50)]), texts, 0.2)
    assert noisy["context"].to_list() == [0.4, 0.0]
    # Ordinary lines, six of ten too many; and odd ones too: 1 - 0.45 * 0.4.
    burst = counts_of([("a", 2, 10), ("b", 0, 10)]).with_columns(burst=pl.lit(0.6))
    assert contexts(burst, texts, everyday)["context"].to_list() == [0.6, 0.82]


def test_scores_by_hand() -> None:
    score, context = np.array([0.1411, 0.5, 0.5, 0.0, 1.0]), np.array([0.0, 0.5, 0.1, 0.9, 0.3])
    assert raised(score, context).tolist() == [0.1411, 0.9167, 0.75, 0.9, 1.0]


def test_the_threshold_rises_to_the_gap_and_never_falls() -> None:
    score, lines = np.array([0.1, 0.1, 0.3, 0.9, 0.8]), np.array([5, 1, 2, 1, 1])
    assert parted(0.25, score, lines) == 0.55  # between 0.3 and 0.8; two of eight lines below are no longer flagged
    assert parted(0.7, score, lines) == 0.7


@pytest.mark.parametrize("scores", [[0.1, 0.1, 0.2, 0.3], [0.1, 0.1], [0.9], [0.5, 0.6, 0.9], []])
def test_without_ordinary_lines_or_unusual_ones_the_threshold_stays(scores: list[float]) -> None:
    assert parted(0.4, np.array(scores), np.ones(len(scores))) == 0.4


@given(st.floats(0, 1), st.integers(0, 95))
def test_scores_never_fall(score: float, hundredths: int) -> None:
    score, context = round(score, 4), hundredths / 100
    [found] = raised(np.array([score]), np.array([context]))
    assert score <= found <= 1
    assert hundredths or found == score


# ---- texts parted by context


def test_texts_are_parted_and_lines_find_their_row() -> None:
    texts = texts_of([0.8, 0.0, 0.6], [12, 50, 2]).with_columns(
        pl.Series("normalized_text", ["a", "b", "c"]), pl.Series("embedding", [[1.0], [2.0], [3.0]])
    )
    counts = counts_of([("bad", 0, 10), ("bad", 2, 2), ("good", 0, 1), ("good", 1, 50)])
    found = in_context(texts, counts, ordinary=0.0)
    # Of text 0 two lines stay (one has no session); text 2 is only in context, and its first row has the vector.
    assert found.texts.select("text_id", "normalized_text", "count", "context", "embedding").rows() == [
        (0, "a", 2, 0.0, [1.0]),
        (1, "b", 50, 0.0, [2.0]),
        (2, "a", 10, 0.55, None),
        (3, "c", 2, 0.56, [3.0]),
    ]
    lines = pl.DataFrame(
        {"session": ["bad", None, "good", "bad", "good", None], "text_id": [0, 0, 0, 2, 1, None], "no": range(6)},
        schema_overrides={"text_id": pl.UInt32},
    )
    assert found.renumbered(lines)["text_id"].to_list() == [2, 0, 0, 3, 1, None]
    assert found.renumbered(lines)["no"].to_list() == list(range(6))


def test_without_unusual_sources_nothing_changes() -> None:
    texts = texts_of([0.9, 0.0], [1, 99])
    found = in_context(texts, counts_of([("a", 0, 1), ("a", 1, 99)]), ordinary=0.0)
    assert found.moved.is_empty()
    assert found.texts.drop("context").equals(texts)


# ---- a scored log


@pytest.fixture
def model(tmp_path: Path) -> str:
    log = write_log(tmp_path / "history.log", access_log(600)[0])
    return workbench.train([log], "web", workbench.quick(Config())).name


@pytest.fixture
def lines() -> list[str]:
    """Everyday lines, a blank one, and the probes of one client among them."""
    found = access_log(150, seed=3)[0]
    for place, path in enumerate(PROBES * 3):
        time = f"10/Oct/2023:10:00:{place:02d} +0000"
        found.insert(5 * place, f'{NOISY} - - [{time}] "GET {path} HTTP/1.1" 404 196 "-" "Mozilla/5.0 (X11; Linux)"')
    return [*found, ""]


def scored(path: Path, model: str | None, context: bool, **settings: str) -> tuple[workbench.RunInfo, pl.DataFrame]:
    config = workbench.quick(Config.from_dict({"read": settings}))
    info = workbench.score([path], model, config, context=context)
    output = path.with_name(f"{path.stem}-{context}.parquet")
    workbench.run(info.run_id).export(output, with_lines=True)
    return info, pl.read_parquet(output)


def test_lines_of_a_noisy_source_are_raised_and_no_others(tmp_path: Path, model: str, lines: list[str]) -> None:
    log = write_log(tmp_path / "new.log", lines)
    before, plain = scored(log, model, context=False)
    info, found = scored(log, model, context=True)
    assert (before.context, info.context) == (False, True)
    assert found["line"].to_list() == lines
    assert found["template"].to_list() == plain["template"].to_list()
    for scorer in SCORERS:
        assert found[scorer].to_list() == plain[scorer].to_list()
    noisy = found["line"].str.starts_with(NOISY)
    assert found.filter(~noisy).select("score", "reason").equals(plain.filter(~noisy).select("score", "reason"))
    assert (found.filter(noisy)["score"] > plain.filter(noisy)["score"]).all()
    assert (found.filter(noisy)["context"] > 0).all() and set(found.filter(~noisy)["context"]) == {0.0}
    again = raised(plain["score"].to_numpy(), found["context"].to_numpy())
    np.testing.assert_allclose(found["score"], again, atol=1e-9)
    assert found.filter(noisy)["reason"].str.starts_with(UNUSUAL_SOURCE).all()
    assert found["is_anomaly"].to_list() == [int(score >= info.threshold) for score in found["score"]]
    assert info.threshold > before.threshold
    assert any(f"First scored at {info.threshold:.2f}, where the scores" in note for note in info.notes)
    assert set(found.filter(noisy)["is_anomaly"]) == {1}
    texts = workbench.run(info.run_id).answers()
    assert texts["count"].sum() == info.n_lines - 1 == len(lines) - 1
    assert texts["text_id"].to_list() == list(range(info.n_texts))
    firsts = found.filter(found["line"] != "").unique("template", keep="first")["line"]
    assert set(firsts) <= set(texts["example"])


def test_columns_without_context_are_what_they_were(tmp_path: Path, model: str, lines: list[str]) -> None:
    _, plain = scored(write_log(tmp_path / "new.log", lines), model, context=False)
    assert plain.columns == [
        "line_no", "score", "is_anomaly", "session", "template", *SCORERS, "reason", "timestamp_utc", "line", "muted"
    ]  # fmt: skip
    assert plain["session"].null_count() == len(plain)
    _, found = scored(write_log(tmp_path / "new.log", lines), model, context=True)
    assert found.columns == [*plain.columns[:9], "context", *plain.columns[9:]]
    assert found["session"][0] == NOISY


def test_a_line_alone_keeps_the_score_of_its_text(tmp_path: Path, model: str, lines: list[str]) -> None:
    log = write_log(tmp_path / "alone.log", lines[:1])
    assert scored(log, model, context=True)[1]["score"].to_list() == [
        workbench.explain(lines[0], model).decision.fused_score
    ]


@pytest.mark.parametrize("with_model", [True, False])
def test_sources_that_nobody_asked_for_are_no_sessions(
    tmp_path: Path, model: str, lines: list[str], monkeypatch: pytest.MonkeyPatch, *, with_model: bool
) -> None:
    # Each is compared with all others: of a hundred thousand clients that would take hours.
    monkeypatch.setattr("core.detector.SessionScorer", None)
    info, found = scored(write_log(tmp_path / "new.log", lines), model if with_model else None, context=True)
    assert info.session_threshold is None
    assert found["context"].max() > 0
    assert workbench.run(info.run_id).session_lines(NOISY) == len(PROBES) * 3


def test_lines_without_a_source_have_no_context(tmp_path: Path, model: str) -> None:
    info, found = scored(write_log(tmp_path / "plain.log", ["disk full", "ERROR boom"]), model, context=True)
    assert set(found["context"]) == {0.0}
    assert any("No line names its source" in note for note in info.notes)


def test_a_named_session_goes_before_the_source(tmp_path: Path, model: str, lines: list[str]) -> None:
    log = write_log(tmp_path / "new.log", lines)
    _, found = scored(log, model, context=True, sessions='"([A-Z]+) ')
    assert set(found["session"]) == {"GET", "POST", None}
    table = write_labelled(tmp_path / "new.csv", ["a b", "c d"], [0, 1], ["s1", "s2"])
    assert scored(table, model, context=True)[1]["session"].to_list() == ["s1", "s2"]


def test_own_fit_row_groups_and_reweighing(tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.run_writer._GROUP_ROWS", 20)
    lines = [line.replace('" 404 ', '" 500 ') for line in lines]  # odd enough where the probes are learnt from too
    info, found = scored(write_log(tmp_path / "new.log", lines), None, context=True)
    assert found["line"].to_list() == lines
    assert (found["context"] > 0).any()
    again = workbench.reweigh(info.run_id, dict.fromkeys(SCORERS, 0.0) | {"shape": 1.0}, 0.3)
    assert again.context
    texts = workbench.run(again.run_id).texts()
    expected = raised(texts["shape"].to_numpy().round(4), texts["context"].to_numpy())
    np.testing.assert_allclose(texts["score"], expected, atol=1e-4)
    assert texts["context"].to_list() == workbench.run(info.run_id).texts()["context"].to_list()
    high = texts.filter((pl.col("context") > 0) & (pl.col("score") >= 0.15))["reason"].to_list()
    assert high and all(reason.startswith(f"{UNUSUAL_SOURCE}; ") for reason in high)
    assert all("of its text: shape" in reason and "mostly" not in reason for reason in high)


def test_a_run_in_context_is_measured_as_evaluate_does(tmp_path: Path, model: str, lines: list[str]) -> None:
    log = write_labelled(tmp_path / "new.csv", lines[:-1], [int(line.startswith(NOISY)) for line in lines[:-1]])
    plain = workbench.evaluate(log, model)
    found = workbench.evaluate(log, model, context=True)
    assert (plain["context"], found["context"]) == (False, True)
    assert found["pr_auc"] >= plain["pr_auc"]
    info = workbench.score([log], model, context=True)
    assert found["threshold"] == info.threshold
    labelled = workbench.labelled_run(info.run_id, "input")
    np.testing.assert_allclose(labelled.fused(info.weights), workbench.fused_score(labelled.texts, info.weights))
    rows = labelled.labelled(info.weights)
    assert rows.lines.sum() == len(lines) - 1
    assert found["scorers"] == workbench.evaluate(log, model, context=True)["scorers"]
    for name in SCORERS:
        assert found["scorers"][name] == pytest.approx(plain["scorers"][name])


def test_sessions_score_the_same_in_context(tmp_path: Path, model: str, lines: list[str]) -> None:
    log = write_log(tmp_path / "new.log", lines)
    tables = []
    for context in (False, True):
        info = workbench.score([log], model, Config.from_dict({"read": {"sessions": "source"}}), context=context)
        workbench.run(info.run_id).export_sessions(tmp_path / "sessions.csv")
        tables.append(pl.read_csv(tmp_path / "sessions.csv"))
        assert workbench.run(info.run_id).session_lines(NOISY) == len(PROBES) * 3
    assert tables[0].equals(tables[1])


def test_a_flood_of_ordinary_requests_is_flagged(tmp_path: Path, model: str) -> None:
    history = access_log(600)[0]
    flood = [f'{NOISY} - - [10/Oct/2025:14:00:00 +0000] "GET / HTTP/1.1" 200 512 "-" "Mozilla/5.0"'] * 60
    assert any('"GET / HTTP/1.1" 200' in line for line in history)
    log = write_log(tmp_path / "flood.log", history + flood)
    alone, judged = (workbench.run(workbench.score([log], model, context=context).run_id) for context in (False, True))
    last = len(history) + len(flood)
    threshold = alone.info.threshold
    assert alone.line(last)["score"] < threshold <= judged.line(last)["score"]
    assert judged.line(last)["reason"].startswith(UNUSUAL_SOURCE)
    assert judged.line(1)["score"] == alone.line(1)["score"]
