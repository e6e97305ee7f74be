"""A bundle and its measured values -> models/<name>/README.md. Every number is written by code."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from core.config import Config
from core.flow_detector import FlowDetector
from core.scoring.flow_context import LEAST_RATE

WHAT_SCORERS_SEE = {
    "mlp_head": "[CLS] vector → MLP 256→64→1 → sigmoid, taught real texts against corrupted ones",
    "knn": "distance from the [CLS] vector to the nearest learnt line",
    "density": "distance from the [CLS] vector to 0.3, 3 and 30% of all learnt lines",
    "autoencoder": "error of rebuilding the [CLS] vector through 16 numbers",
    "one_class": "distance from the centre of a one-class network (Deep SVDD)",
    "likelihood": "pseudo-perplexity: how surprising each token is to the masked language model",
    "novelty": "never-seen and rare texts",
    "tfidf": "TF-IDF distance of words and punctuation to shares of all learnt lines",
    "shape": "distance of a request's build, rare words left out, and surprise at its parameters; other lines whole",
    "severity": "level, status class and words such as failed or denied",
}


def write_flow_card(folder: Path, name: str, detector: FlowDetector) -> None:
    """Write the README.md of a bundle of captures."""
    config, facts, history = detector.config, detector.facts_, detector.history_
    pretrained = facts.get("pretrained", facts)
    shape = detector.encoder_.config
    masked = "masked: addresses, ports, IP id, TTL, checksums, sequence numbers, timestamps"
    lines = [
        f"# {name}",
        "",
        f"A NetGPT bundle of TinyLogBERT Workbench, written {facts['created_utc']} by code; JSON and safetensors only.",
        "",
        f"- pre-trained on {pretrained['n_flows']:,} flows without labels, {pretrained['n_texts']:,} distinct texts",
        f"- data (sha256 of texts): `{pretrained['data_sha256']}`",
        *(
            [
                f"- taught tasks; scorers fitted anew on {facts['n_flows']:,} of {facts['n_given']:,} flows"
                f"{', those labelled benign' if facts['ordinary_only'] else ''}, {facts['n_texts']:,} distinct texts "
                f"(sha256: `{facts['data_sha256']}`)"
            ]
            if detector.taught_
            else []
        ),
        f"- {shape.n_layers} layers, {shape.hidden_size} wide, {shape.n_heads} heads",
        f"- tokens of {config.unit_bytes} byte; {config.max_packets} packets a flow, "
        f"{config.payload_bytes} bytes of each payload",
        f"- {masked if config.masked else 'not masked: addresses and ports are seen'}"
        + ("; server names hidden" if config.masked and config.hide_names else ""),
        f"- seed {config.seed} · {facts['seconds']} s on {platform.machine()} · precision {facts['precision']}",
        f"- threshold {detector.threshold_:.4f} for a stated false-alarm rate of {config.scoring.false_alarm_rate:.2%} "
        "of flows like the learnt ones, each judged alone",
        f"- a source with more than {facts.get('burst', LEAST_RATE):g} new flows a second is in a burst",
        "- libraries: " + ", ".join(f"{library} {version}" for library, version in facts["libraries"].items()),
        "",
    ]
    if history:
        first, last = history[0], history[-1]
        loss = "held_back_loss" if last["held_back_loss"] is not None else "train_loss"
        lines += [
            f"Pre-training: {last['step']:.0f} steps, {loss.replace('_', ' ')} {first[loss]:.3f} → {last[loss]:.3f} "
            "nats a token.",
            "",
        ]
    if detector.taught_:
        lines += ["| task | labels |", "|---|---|"]
        lines += [f"| {_cell(task.name)} | {_cell(', '.join(task.labels))} |" for task in detector.taught_]
        lines.append("")
    total = sum(config.scoring.weights.values())
    lines += ["| scorer | weight |", "|---|---|"]
    lines += [f"| {scorer} | {weight / total:.1%} |" for scorer, weight in config.scoring.weights.items()]
    lines += [
        "",
        "`likelihood` is the surprise of a flow's tokens beyond what the network itself expected it to be, so random "
        "and encrypted bytes count for nothing. Scored in context, unusual other flows of a source, or too many a "
        "second, raise a flow's score.",
        "",
        "**Limits.** A flow is judged by its first packets alone. The bundle holds the bytes it learnt from: "
        "share it as you would share the capture.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), "utf-8")


def _cell(text: str) -> str:
    """Text of a user's labels, which must not end a cell of the table."""
    return " ".join(text.replace("|", "¦").split())


def write_card(
    folder: Path, name: str, config: Config, facts: dict[str, Any], history: list[dict[str, float | None]]
) -> None:
    """Write the bundle's README.md.

    Args:
        folder: the bundle.
        name: its name.
        config: the resolved settings.
        facts: bundle.json beside the config.
        history: training losses by step; empty where no network was trained.
    """
    total = sum(config.scoring.weights.values())
    lines = [
        f"# {name}",
        "",
        f"A TinyLogBERT Workbench bundle, written {facts['created_utc']} by code; JSON and safetensors only.",
        "",
        f"- learnt from {facts['n_lines']:,} unlabelled lines, {facts['n_texts']:,} distinct normalized texts",
        *(
            [f"- left out as judged abnormal: texts {facts['left_out_texts']:,}, lines {facts['left_out_lines']:,}"]
            if "left_out_texts" in facts
            else []
        ),
        *(
            [
                f"- left out as the strangest, for up to {config.scoring.contamination:.2%} was said to be abnormal: "
                f"lines {facts['strangest_lines']:,}"
            ]
            if "strangest_lines" in facts
            else []
        ),
        f"- data (sha256 of texts and counts): `{facts['data_sha256']}`",
        f"- seed {config.seed} · {facts['seconds']} s on {platform.machine()} · precision {facts['precision']}",
        f"- threshold {facts['threshold']:.4f}, "
        + (
            f"set by an analyst with the weights below on what {facts['derived_from']} had learnt"
            if "derived_from" in facts
            else f"for a stated false-alarm rate of {config.scoring.false_alarm_rate:.2%} of lines like the learnt ones"
        )
        + (f": {facts['messages_flagged']:.1%} of their messages" if "messages_flagged" in facts else ""),
        "- libraries: " + ", ".join(f"{library} {version}" for library, version in facts["libraries"].items()),
        "",
    ]
    if history:
        first, last = history[0], history[-1]
        loss = "held_back_loss" if last["held_back_loss"] is not None else "train_loss"
        name_of_loss = loss.replace("_", " ")
        lines += [
            f"Masked log modelling: {last['step']:.0f} steps, {name_of_loss} {first[loss]:.3f} → {last[loss]:.3f}.",
            "",
        ]
    if "network_silent" in facts:
        lines += [
            "The network learnt from too few texts to have a say in the score: what it finds weighs nothing.",
            "",
        ]
    lines += ["| scorer | weight | sees |", "|---|---|---|"]
    lines += [
        f"| {scorer} | {weight / total:.1%} | {WHAT_SCORERS_SEE[scorer]} |"
        for scorer, weight in config.scoring.weights.items()
    ]
    lines += [
        "",
        "These judge a line by its text alone; scored in context, unusual other lines of its source raise it.",
        "",
        "**Limits.** The bundle holds the normalized texts it learnt from: share it as you would share the log. "
        "The false-alarm rate holds for lines like the learnt ones; a new release or a new host needs new history.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), "utf-8")
