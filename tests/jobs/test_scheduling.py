"""Who gets the next slot, and who makes room."""

from vaefrag.jobs.job_models import MemberRecord
from vaefrag.jobs.scheduling import SlotRequest, assign_slot, choose_group, choose_preemption

HERE, THERE = {"cpu": 1, "workspace": 1}, {"cpu": 1}  # a worker that sees the folder, and one that does not


def turn(*requests: SlotRequest, free: dict[str, dict[str, int]] | None = None) -> str | None:
    assignment = assign_slot(requests, {"here": HERE} if free is None else free)
    return assignment[0].job_id if assignment else None


def room(*requests: SlotRequest) -> tuple[str, str] | None:
    preemption = choose_preemption(requests)
    return (preemption[0].job_id, preemption[1].job_id) if preemption else None


def test_slots_go_round_between_jobs() -> None:
    slots = {"a": 0, "b": 0, "c": 0}
    order = []
    for _ in range(6):
        job_id = turn(*(SlotRequest(name, 1, waiting=9, slots=count) for name, count in slots.items()))
        assert job_id is not None
        slots[job_id] += 1
        order.append(job_id)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_lower_rank_is_served_first_whatever_it_has() -> None:
    assert turn(SlotRequest("train", 1, waiting=5, slots=0), SlotRequest("analyze", 0, waiting=1, slots=3)) == "analyze"


def test_nobody_gets_more_than_asked_for_or_than_there_is() -> None:
    assert turn(SlotRequest("a", 1, waiting=5, slots=2, most_slots=2)) is None
    assert turn(SlotRequest("a", 1, waiting=0, slots=0)) is None
    assert turn(SlotRequest("a", 1, waiting=1, slots=0), free={}) is None


def test_work_that_needs_the_folder_waits_for_a_worker_that_sees_it() -> None:
    analysis = SlotRequest("a", 0, waiting=1, slots=0, needs=("cpu", "workspace"))
    training = SlotRequest("t", 1, waiting=1, slots=0)
    assert turn(analysis, free={"there": THERE}) is None
    assert turn(analysis, training, free={"there": THERE}) == "t"
    assert turn(analysis, free={"there": THERE, "card": {"workspace": 1}}) is None  # each offers a half


def test_a_worker_that_sees_the_folder_is_left_to_work_that_needs_it() -> None:
    training, analysis = (
        SlotRequest("t", 1, waiting=1, slots=0),
        SlotRequest("a", 1, waiting=1, slots=0, needs=("cpu", "workspace")),
    )
    for free in ({"here": HERE, "there": THERE}, {"there": THERE, "here": HERE}):
        assert assign_slot([training], free) == (training, "there")
        assert assign_slot([analysis], free) == (analysis, "here")


def test_a_job_without_a_slot_is_given_one_by_the_one_with_most() -> None:
    rich, poor = SlotRequest("rich", 1, waiting=9, slots=3), SlotRequest("poor", 1, waiting=1, slots=2)
    new = SlotRequest("new", 1, waiting=4, slots=0)
    assert room(poor, rich, new) == ("rich", "new")
    assert room(poor, rich) is None


def test_trainings_with_one_slot_each_are_left_alone_but_make_room_for_an_analysis() -> None:
    trainings = [SlotRequest("a", 1, waiting=3, slots=1), SlotRequest("b", 1, waiting=3, slots=1)]
    assert room(*trainings, SlotRequest("c", 1, waiting=1, slots=0)) is None
    assert room(*trainings, SlotRequest("analysis", 0, waiting=1, slots=0)) == ("a", "analysis")
    assert room(*trainings, SlotRequest("partial", 0, waiting=1, slots=0, preempts=False)) is None


def test_members_at_the_same_step_train_together() -> None:
    members = [
        MemberRecord(0, step=10),
        MemberRecord(1),
        MemberRecord(2, step=10),
        MemberRecord(3, "done"),
        MemberRecord(4),
    ]
    assert choose_group(members, 2) == [0, 2]
    assert choose_group(members, 9) == [0, 2]


def test_a_member_whose_workers_keep_dying_is_tried_alone_and_last() -> None:
    members = [MemberRecord(0, deaths=2), MemberRecord(1, deaths=1), MemberRecord(2, deaths=2)]
    assert choose_group(members, 3) == [1]
    assert choose_group([members[0], members[2]], 3) == [0]
