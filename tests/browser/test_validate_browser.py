"""Validating in a real browser: a label file is uploaded, the point dragged, a threshold and weights are kept."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from core import workbench
from core.config import Config
from tests.browser.watched import Watched
from tests.builders import access_log, log_of_failures, write_log

pytestmark = pytest.mark.browser

LINES, LABELS = access_log(1_000, n_attacks=60, seed=3)


def figures(point: Locator) -> tuple[float, float, int]:
    """Precision, recall and false alarms at the point, as the browser has them now."""
    said = point.get_attribute("aria-valuetext") or ""
    precision, recall, alarms = re.search(r"precision (\S+), recall (\S+), ([\d,]+) false alarms", said).groups()
    return float(precision.replace("–", "nan")), float(recall), int(alarms.replace(",", ""))


def expected(run_id: str, threshold: float, weights: dict[str, float]) -> tuple[float, float, int]:
    """The same counted line by line."""
    texts, lines = workbench.run(run_id).texts(), workbench.run(run_id).line_texts()
    score = workbench.fused_score(texts, weights)[lines["text_id"].to_numpy()]
    flagged = [label for value, label in zip(score, LABELS, strict=True) if value >= threshold]
    return (
        round(sum(flagged) / len(flagged), 3) if flagged else float("nan"),
        round(sum(flagged) / sum(LABELS), 3),
        len(flagged) - sum(flagged),
    )


def at(point: Locator) -> float:
    return float(point.get_attribute("aria-valuenow") or "nan")


def test_labels_choose_a_threshold_and_weights(browser: Browser, server: str, tmp_path: Path):
    log = write_log(tmp_path / "web.log", LINES)
    run = workbench.score([log], config=workbench.quick(Config()))
    labels = tmp_path / "truth.csv"
    with labels.open("w", newline="") as handle:
        rows = [(no, label, "scan" if label else "") for no, label in enumerate(LABELS, 1)]
        csv.writer(handle).writerows([("line_no", "label", "kind"), *rows])

    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/validate?run={run.run_id}")
    expect(page.get_by_text("Three ways to give some")).to_be_visible()
    page.locator("input[type=file]").set_input_files(labels)
    point = page.get_by_role("slider", name="Operating point")
    expect(point).to_have_attribute("aria-valuenow", str(run.threshold))
    assert figures(point) == pytest.approx(expected(run.run_id, run.threshold, run.weights), nan_ok=True)

    # Dragged along the precision-recall curve: counted in the browser, exact, before the server is asked.
    curve = page.locator(".pr canvas").bounding_box()
    page.mouse.move(curve["x"] + curve["width"] / 2, curve["y"] + 100)
    page.mouse.down()
    page.mouse.move(curve["x"] + curve["width"] - 12, curve["y"] + 20, steps=5)
    dragged = at(point)
    assert dragged != run.threshold
    assert figures(point) == pytest.approx(expected(run.run_id, dragged, run.weights))
    expect(page.get_by_role("button", name="Apply", exact=True)).to_be_enabled()
    page.mouse.up()
    alarms = figures(point)[2]
    expect(page.get_by_role("button", name=f"{alarms:,} false alarms")).to_be_visible()  # the server has it too
    expect(page.get_by_text("Chosen on these labels")).to_be_visible()

    # By keyboard, by a rule, and by hand again, which leaves the rule.
    point.press("PageUp")
    assert at(point) == pytest.approx(dragged + 0.01)
    expect(page.get_by_text(f"At {at(point):.4f} the labelled lines cost")).to_be_visible()  # else it leaves the rule
    view.settle()
    page.get_by_text("Recall at least").click()
    expect(page.get_by_label("Percent")).to_be_visible()
    expect(point).not_to_have_attribute("aria-valuenow", str(round(dragged + 0.01, 4)))
    assert figures(point)[1] >= 0.95
    point.press("ArrowRight")
    expect(page.get_by_label("Percent")).to_have_count(0)
    view.settle()

    # Applied: a new version of the run's threshold.
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.get_by_text("in force", exact=True)).to_be_visible()
    assert workbench.threshold(run.run_id) == at(point)

    # Other weights: the effect at once, then a run of its own.
    page.get_by_role("slider", name="severity").press("Home")
    expect(page.get_by_text("dotted: as saved").first).to_be_visible()
    weights = run.weights | {"severity": 0.0}
    view.settle()
    assert figures(point) == pytest.approx(expected(run.run_id, at(point), weights), nan_ok=True)
    kept = at(point)
    page.get_by_role("button", name="Apply as new run").click()
    expect(page.get_by_role("button", name="Apply", exact=True)).to_be_disabled()
    view.settle()
    expect(point).to_have_count(1)  # the old run's stays, pale, until the new one's is drawn
    [again] = [info for info in workbench.runs() if info.reweighed_from == run.run_id]
    assert (again.weights, again.threshold) == (weights, kept)
    assert again.run_id in page.url
    assert figures(point) == pytest.approx(expected(again.run_id, kept, weights), nan_ok=True)  # by the same labels
    assert view.problems == []


def test_fitted_weights_are_tried_and_the_telling_messages_asked_for(browser: Browser, server: str, tmp_path: Path):
    lines, failed = log_of_failures(90)
    scored = workbench.score([write_log(tmp_path / "words.log", lines)], config=workbench.quick(Config()))
    run = workbench.reweigh(scored.run_id, scored.weights | {"severity": 0.0}, 0.01)  # all is flagged
    for label, name in ((1, "abnormal"), (0, "normal")):
        workbench.set_verdict(run.run_id, [no for no in range(1, 61) if failed[no - 1] == label], name)

    view = Watched(browser, server)
    page = view.page
    page.goto(f"{server}/validate?run={run.run_id}")
    point = page.get_by_role("slider", name="Operating point")
    expect(point).to_have_attribute("aria-valuenow", "0.01")
    expect(page.get_by_text("Labels against decisions")).to_be_visible()  # the last part of the page
    view.settle()
    page.get_by_role("button", name="Fit weights").click()
    use = page.get_by_role("button", name="Use these weights")
    expect(use).to_be_enabled()
    view.settle()
    use.click()
    expect(use).to_be_disabled()
    weights = workbench.fit_weights(
        workbench.labelled_run(run.run_id, "verdicts"), dict.fromkeys(run.weights, 3.0)
    ).weights
    for name, weight in weights.items():
        expect(page.get_by_role("slider", name=name)).to_have_value(f"{weight:g}")
    view.settle()

    # What they would change at a higher point, counted by the server.
    point.press("End")
    expect(page.get_by_role("button", name="90 lines no longer flagged")).to_be_visible()
    view.settle()
    page.get_by_role("button", name="Reset weights").click()
    for name, weight in run.weights.items():
        expect(page.get_by_role("slider", name=name)).to_have_value(f"{weight:g}")
    view.settle()

    page.get_by_role("link", name="messages that would change most").click()
    expect(page.get_by_text(re.compile("^Judged 0 of 30 messages"))).to_be_visible()
    view.settle()
    assert view.problems == []
