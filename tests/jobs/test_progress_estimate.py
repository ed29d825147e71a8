"""How far a job is said to be, by hand."""

import pytest

from vaefrag.jobs.job_models import DesiredState, JobRecord, JobSnapshot, MemberRecord, Progress, Submission
from vaefrag.jobs.progress_estimate import estimate


def snapshot(*rows: MemberRecord, steps: int = 100, **progress: object) -> JobSnapshot:
    request = {"train": {"steps": steps}}
    submission = Submission("a", "train" if rows else "analyze", "e", "t", request, len(rows), "ada", 0.0)
    return JobSnapshot(JobRecord(submission, DesiredState(), Progress(**progress), 1), rows)  # type: ignore[arg-type]


def test_what_is_left_is_that_of_members_that_still_train() -> None:
    found = estimate(
        snapshot(
            MemberRecord(0, "done", step=100),
            MemberRecord(1, "running", step=50, steps_per_second=20.0),
            MemberRecord(2, "running", step=30, steps_per_second=5.0),
            MemberRecord(3, "queued"),
            MemberRecord(4, "failed", step=10, steps_per_second=7.0),
        )
    )
    assert found.share == pytest.approx(190 / 500)
    assert found.steps_per_second == pytest.approx(25.0)
    assert found.seconds_left == pytest.approx((50 + 70 + 100) / 25)


def test_nobody_can_say_how_long_before_anything_moves() -> None:
    found = estimate(snapshot(MemberRecord(0, "queued"), MemberRecord(1, "running")))
    assert (found.share, found.steps_per_second, found.seconds_left) == (0, None, None)


def test_an_analysis_is_as_far_as_its_stage() -> None:
    assert estimate(snapshot(state="running", stage="maps", share=0.25)).share == 0.25
    assert estimate(snapshot(state="done", share=0.25)).share == 1
