"""Jobs in real processes: whatever happens to one, its state says so and nothing half-written stays."""

import dataclasses
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import jobs
from core.errors import StoreError, WorkbenchError
from core.jobs import watching

CHILD = """
import errno, os, sys, time
from core.config import home
from core.errors import InputError
from core.jobs import JobRun

with JobRun(sys.argv[1]) as job:
    for kind in ("runs", "flow_runs"):
        (home() / kind / (job.spec.get("run_id", "none") + ".tmp")).mkdir(parents=True)
    {body}
"""


def start(body: str, **spec: Any) -> str:
    code = CHILD.format(body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    return jobs.start("score", {"run_id": "r1", **spec}, "Score x.log", command=[sys.executable, "-c", code])


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.01)


def running(job_id: str) -> jobs.JobStatus:
    wait_until(lambda: jobs.status(job_id).step != "")
    return jobs.status(job_id)


def pid_of(home: Path, job_id: str) -> int:
    return int(json.loads((home / "jobs" / job_id / "process.json").read_text())["pid"])


FOREVER = """
while True:
    job.progress("encode", 1, 10)
    time.sleep(0.01)
"""


def test_a_job_hands_back_its_result_and_steps() -> None:
    job_id = start(
        """
        job.progress("read", 0, 0)
        time.sleep(0.3)
        job.progress("encode", 0, 4)
        job.progress("encode", 4, 4)
        omp = os.environ["OMP_WAIT_POLICY"]
        job.done({"run_id": job.spec["run_id"], "kind": job.kind, "omp": omp, "cwd": os.getcwd()})
        """
    )
    assert jobs.status(job_id).state in ("queued", "running")
    found = jobs.wait(job_id, 20)
    checkout = str(Path(jobs.__file__).resolve().parents[2])
    assert found.result == {"run_id": "r1", "kind": "score", "omp": "PASSIVE", "cwd": checkout}
    assert (found.state, found.message, found.title, found.done, found.total) == ("done", "", "Score x.log", 4, 4)
    assert [name for name, _ in found.steps] == ["read", "encode"]
    assert 0.3 <= found.steps[0][1] < 5
    assert found.finished_utc is not None and found.finished_utc > found.created_utc
    assert jobs.list_jobs() == [found]


def test_a_relative_data_folder_is_the_same_for_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYLOGBERT_HOME", "home")
    assert jobs.wait(start("job.done({'home': str(home())})"), 20).result == {"home": str(tmp_path / "home")}


def test_progress_tells_rate_and_time_left(home: Path) -> None:
    job_id = start(
        """
        for done in range(1, 10_000):
            job.progress("encode", done * 100, 1_000_000)
            time.sleep(0.01)
        """
    )
    wait_until(lambda: jobs.status(job_id).eta_seconds is not None and jobs.status(job_id).done > 5000)
    found = jobs.status(job_id)
    assert (found.state, found.step, found.total) == ("running", "encode", 1_000_000)
    assert 1_000 < found.rate_per_second <= 10_000  # 100 a hundredth of a second, less what a busy machine loses
    assert found.eta_seconds == pytest.approx((found.total - found.done) / found.rate_per_second)
    state = home / "jobs" / job_id / "state.json"
    writes = set()
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:
        writes.add(state.stat().st_mtime_ns)
        time.sleep(0.005)
    assert 2 <= len(writes) <= 6  # four a second
    jobs.cancel(job_id)


def test_a_killed_job_is_shown_as_failed_and_leaves_no_run(home: Path) -> None:
    job_id = start(FOREVER)
    running(job_id)
    assert (home / "runs" / "r1.tmp").exists()
    os.kill(pid_of(home, job_id), signal.SIGKILL)
    found = jobs.wait(job_id, 5)
    assert found.state == "failed"
    assert "ended unexpectedly" in found.message and "Start it again" in found.message
    assert not (home / "runs" / "r1.tmp").exists() and not (home / "flow_runs" / "r1.tmp").exists()
    assert json.loads((home / "jobs" / job_id / "state.json").read_text())["state"] == "failed"


def test_a_number_given_to_another_process_does_not_revive_a_job(home: Path) -> None:
    job_id = start(FOREVER)
    running(job_id)
    os.kill(pid_of(home, job_id), signal.SIGKILL)
    (home / "jobs" / job_id / "process.json").write_text(json.dumps({"pid": os.getpid(), "create_time": 1.0}))
    assert jobs.status(job_id).state == "failed"


def test_cancel_stops_a_job(home: Path) -> None:
    job_id = start(FOREVER)
    running(job_id)
    found = jobs.cancel(job_id)
    assert (found.state, found.message, found.eta_seconds) == ("cancelled", "Cancelled.", None)
    assert not (home / "runs" / "r1.tmp").exists()
    assert jobs.cancel(job_id) == found


def test_cancel_reaches_work_that_swallows_the_first_word(home: Path) -> None:
    job_id = start(
        """
        while True:
            try:
                job.progress("encode", 1, 10)
                while True: time.sleep(1)
            except Exception:
                job.progress("encode", 2, 10)
        """
    )
    running(job_id)
    started = time.monotonic()
    assert jobs.cancel(job_id).state == "cancelled"
    assert time.monotonic() - started < watching.CANCEL_SECONDS  # not by force


def test_cancel_kills_work_that_does_not_listen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CANCEL_SECONDS", 0.3)
    job_id = start(
        """
        import signal
        job.progress("encode", 1, 10)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: time.sleep(1)
        """
    )
    running(job_id)
    time.sleep(0.2)
    assert jobs.cancel(job_id).state == "cancelled"
    assert not (home / "runs" / "r1.tmp").exists()


def test_cancel_before_the_job_is_ready() -> None:
    assert jobs.cancel(start(FOREVER)).state == "cancelled"


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ('raise InputError("x.log: empty; choose another file")', "x.log: empty; choose another file"),
        ('raise OSError(errno.ENOSPC, "No space left on device")', "no disk space left in"),
        ('raise OSError("No space left on device (os error 28)")', "no disk space left in"),
        ("raise MemoryError", "out of memory"),
        ("job.done({'half': 1}); {}['key']", "internal error: KeyError: 'key'. Run it again"),
        ("sys.exit(3)", "internal error: SystemExit: 3"),
        ("os._exit(3)", "ended unexpectedly"),
    ],
)
def test_errors_are_told(home: Path, failure: str, message: str) -> None:
    job_id = start(failure)
    found = jobs.wait(job_id, 20)
    assert (found.state, found.result) == ("failed", {})
    assert message in found.message
    assert not (home / "runs" / "r1.tmp").exists()
    if "internal" in message:
        assert "Traceback" in (home / "jobs" / job_id / "log.txt").read_text()


def test_finished_runs_survive_the_failure_of_their_job(home: Path) -> None:
    job_id = start('(home() / "runs" / "r1.tmp").rename(home() / "runs" / "r1")\nraise KeyError("late")')
    assert jobs.wait(job_id, 20).state == "failed"
    assert (home / "runs" / "r1").exists()


@pytest.mark.parametrize("run_id", ["../../precious", "", 3, None])
def test_clean_up_stays_within_the_runs(home: Path, tmp_path: Path, run_id: Any) -> None:
    (tmp_path / "precious.tmp").mkdir()
    (home / "runs").mkdir(parents=True)
    job_id = jobs.start("score", {"run_id": run_id}, command=[sys.executable, "-c", "pass"])
    assert jobs.wait(job_id, 20).state == "failed"
    assert (tmp_path / "precious.tmp").exists()


def test_a_command_that_does_not_start_is_refused(home: Path) -> None:
    with pytest.raises(StoreError, match="cannot be started"):
        jobs.start("score", {}, command=["/no/such/program"])
    assert jobs.list_jobs() == []


def test_a_job_nobody_started_fails_after_a_while(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "jobs" / "lost"
    folder.mkdir(parents=True)
    lost = jobs.JobStatus("lost", "score", "Score", "2024-01-01T00:00:00+00:00")
    (folder / "state.json").write_text(json.dumps(dataclasses.asdict(lost)))
    assert jobs.status("lost").state == "failed"


def test_only_the_last_jobs_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KEPT_JOBS", 2)
    ended = jobs.JobStatus("", "score", "Score", "2024-01-01T00:00:00+00:00", state="done")
    for name in ("20240101-a", "20240102-b", "20240103-c"):
        (home / "jobs" / name).mkdir(parents=True)
        state = dataclasses.asdict(dataclasses.replace(ended, job_id=name))
        (home / "jobs" / name / "state.json").write_text(json.dumps(state))
    (home / "jobs" / "20240102-b" / "state.json").write_text("")  # as a power cut leaves it
    job_id = start(FOREVER)
    assert [found.job_id for found in jobs.list_jobs()] == [job_id, "20240103-c"]
    jobs.cancel(start(FOREVER))
    jobs.cancel(job_id)
    assert not (home / "jobs" / "20240102-b").exists()


@pytest.mark.parametrize("job_id", ["../x", "", "none", "a.b"])
def test_unknown_jobs_are_refused(job_id: str) -> None:
    with pytest.raises(WorkbenchError):
        jobs.status(job_id)


HALF_DONE = """
saved = job.checkpoints / "step"
step = int(saved.read_text()) if saved.exists() else 0
job.checkpoints.mkdir(exist_ok=True)
saved.write_text("25")
job.measure("loss", step, 9.0 - step / 25)
job.measure("loss", 50, 7.5)
if step == 0: raise InputError("the first attempt fails")
job.done({"went on from": step})
"""


def test_an_ended_job_goes_on_from_its_checkpoint(home: Path) -> None:
    job_id = start(HALF_DONE)
    failed = jobs.wait(job_id, 20)
    assert (failed.state, jobs.can_resume(failed)) == ("failed", True)
    (home / "jobs" / job_id / "measures.jsonl").open("a").write('["loss", 7')  # as a killed process leaves it
    code = CHILD.format(body=textwrap.indent(HALF_DONE.strip(), "    ").strip())
    jobs.resume(job_id, command=[sys.executable, "-c", code])
    found = jobs.wait(job_id, 20)
    assert (found.state, found.result, found.title) == ("done", {"went on from": 25}, "Score x.log")
    assert jobs.list_jobs() == [found]
    assert not (home / "jobs" / job_id / "checkpoints").exists()
    with pytest.raises(WorkbenchError, match="nothing to go on from"):
        jobs.resume(job_id)


def test_measures_of_a_later_attempt_replace_the_first(home: Path) -> None:
    (home / "jobs" / "j1").mkdir(parents=True)
    lines = ['["loss", 25, 3.0]', '["loss", 50, 2.5]', '["held back", 25, 3.5]', '["loss", 50, 2.0]', '["loss"']
    (home / "jobs" / "j1" / "measures.jsonl").write_text("\n".join(lines))
    assert jobs.measured("j1") == [("loss", 25, 3.0), ("held back", 25, 3.5), ("loss", 50, 2.0)]
    assert jobs.measured("j2") == []


def test_discarded_checkpoints_are_gone_and_a_running_job_keeps_them(home: Path) -> None:
    job_id = start("job.checkpoints.mkdir()\n(job.checkpoints / 'x').touch()" + FOREVER)
    running(job_id)
    with pytest.raises(WorkbenchError, match="cancel it first"):
        jobs.discard_checkpoints(job_id)
    assert jobs.can_resume(jobs.cancel(job_id))
    jobs.discard_checkpoints(job_id)
    assert not jobs.can_resume(jobs.status(job_id))
