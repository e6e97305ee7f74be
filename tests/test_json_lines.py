"""Lines that are JSON objects: their message, or, of what security tools write, all their fields."""

import json
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.preview import messages
from core.tokenization.json_lines import MOST_FIELDS, MOST_VALUE_CHARS, fields_of, first_of, read_object
from core.tokenization.normalize import Normalizer

EVENTS = {
    '{"timestamp":"2017-04-07T22:24:37.251547+0100","flow_id":586497171462735,"event_type":"alert","src_ip":"192.0.2.14",'
    '"dest_port":80,"alert":{"action":"allowed","signature":"ET HUNTING POST to Dotted Quad 1","severity":2}}': (
        "flow_id=num event_type=alert src_ip=ip dest_port=num alert.action=allowed "
        "alert.signature=et hunting post to dotted quad num alert.severity=num"
    ),
    '{"ts":1591367999.305988,"uid":"CMdzit1AMNsmfAIiQc","id.orig_h":"192.0.2.76","proto":"udp","service":"dns",'
    '"conn_state":"SF","tunnel":null}': "ts=num uid=id id.orig_h=ip proto=udp service=dns conn_state=sf",
    '{"userIdentity":{"type":"IAMUser","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"Mary"},"readOnly":false,'
    '"eventTime":"2023-07-19T21:17:28Z","eventName":"StartInstances","sourceIPAddress":"192.0.2.0"}': (
        "useridentity.type=iamuser useridentity.accesskeyid=id useridentity.username=mary readonly=false "
        "eventname=startinstances sourceipaddress=ip"
    ),
    '{"kind":"Event","auditID":"0fd2a4c2-2a29-4a3c-9e3a-4d9a0b5b1d1e","verb":"list","user":{"groups":["a","b"]},'
    '"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2021-01-28T10:24:48.123456Z"}': (
        "kind=event auditid=id verb=list user.groups=a user.groups=b responsestatus.code=num"
    ),
}


@pytest.mark.parametrize(("line", "text"), EVENTS.items(), ids=["suricata", "zeek", "cloudtrail", "kubernetes"])
def test_an_event_is_its_fields_and_has_its_time_and_source(line: str, text: str) -> None:
    normalizer = Normalizer(by_source=True)
    table = normalizer.process(1, pl.Series([line]))
    assert normalizer.texts()["normalized_text"].to_list() == [text]
    assert table["timestamp_utc"][0] is not None
    address = re.search(r"192\.0\.2\.[0-9]+", line)
    assert table["session"][0] == (address[0] if address else None)
    assert table["rejection"][0] is None and table["raw"][0] == line
    assert normalizer.format_counts == {"json": 1}


def test_events_that_differ_in_what_is_made_at_random_are_one_message() -> None:
    line = next(line for line in EVENTS if "uid" in line)
    normalizer = Normalizer()
    normalizer.process(
        1, pl.Series([line, line.replace("CMdzit1AMNsmfAIiQc", "C9iWsd2FeKxKcBGGVf").replace("1591", "1592")])
    )
    assert normalizer.texts()["count"].to_list() == [2]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"user_id": "alice", "key": "Enter"}', "user_id=alice key=Enter"),  # names that are no random ones stay
        ('{"userId": "a1b2c3d4e5", "SESSIONID": 7, "sessionid": "a1b2c3d4e5"}', "userId=id SESSIONID=7 sessionid=id"),
        ('{"valid": "a1b2c3d4e5"}', "valid=a1b2c3d4e5"),  # the name says nothing of an identifier
        ('{"a": "two\\n lines"}', "a=two lines"),
        ('{"a": "", "b": null, "c": [], "d": {}}', None),
        ('{"a": {"b": [{"c": 1}, {"c": 2.5}, true]}}', "a.b.c=1 a.b.c=2.5 a.b=true"),
    ],
)
def test_fields_of(line: str, text: str | None) -> None:
    found = read_object(line)
    assert found is not None
    assert fields_of(found) == text


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1}trailing',
        "[1, 2]",
        "",
        "{" * 9,
        '{"a":' * 100_000,
        '{"a": NaN}',
        '{"a": "\\ud83d"}',
        '{"a": "tab\there"}',
    ],
)
def test_what_is_no_object(line: str) -> None:
    assert read_object(line) is None


@pytest.mark.parametrize(
    ("line", "names", "value"),
    [
        ('{"msg": "a", "message": "b"}', ("message", "msg"), "b"),
        ('{"msg": "a", "message": null}', ("message", "msg"), "a"),
        ('{"message": ""}', ("message", "msg"), ""),
        ('{"log": {"level": "warn"}}', ("log.level",), "warn"),
        ('{"log.level": "warn", "log": {"level": "info"}}', ("log.level",), "warn"),
        ('{"a": {"b": {"c": true}}}', ("a.b.c",), "true"),
        ('{"a": {"b.c": 1.50}}', ("a.b.c",), "1.50"),  # as it is written
        ('{"t": 1700000000123456789}', ("t",), "1700000000123456789"),
        (
            '{"event": {"action": "login"}, "body": ["a"], "msg": "b"}',
            ("event", "body", "msg"),
            "b",
        ),  # a text is asked for
        ('{"message": "\\ud83d\\ude00"}', ("message",), "😀"),
        ('{"a": "text"}', ("a.b", "c"), None),
    ],
)
def test_first_of(line: str, names: tuple[str, ...], value: str | None) -> None:
    found = read_object(line)
    assert found is not None
    assert first_of(found, names) == value


def test_a_huge_object_is_cut() -> None:
    told = fields_of({f"name{number}": "x" * 1_000 for number in range(1_000)})
    assert told is not None
    assert len(told.split(" ")) == MOST_FIELDS and len(told) < MOST_FIELDS * (MOST_VALUE_CHARS + 10)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=5).map(json.dumps), min_size=1, max_size=4))
def test_any_object_is_read_alone_as_beside_others(lines: list[str]) -> None:
    together = Normalizer()
    ids = together.process(1, pl.Series(lines))["text_id"].to_list()
    texts = together.texts()["normalized_text"].to_list()
    for line, text_id in zip(lines, ids, strict=True):
        alone = Normalizer()
        alone.process(1, pl.Series([line]))
        assert alone.texts()["normalized_text"].to_list() == [texts[text_id]]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ('{"@timestamp":"2026-11-20T12:47:05Z","log.level":"ERROR","message":"heap is low"}', "heap is low"),
        ('{"ts":"2026-11-20T12:47:05Z","alert":{"action":"allowed"}}', "alert.action=allowed"),
        ("2026-11-20T09:27:24.1Z stderr F E1120 09:27:24.123456       1 pod.go:7] no such pod", "no such pod"),
        ('2026-11-20T09:27:24.1Z stdout F 192.0.2.1 - - [20/Nov/2026:09:27:24 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"',
         '"GET / HTTP/1.1" 200 5 "-" "curl"'),
        ("{broken", "{broken"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_table_shows_what_is_within(raw: str, shown: str):
    assert messages(pl.Series([raw])).to_list() == [shown]
