"""Who gets the next slot, and who makes room."""

from vaefrag.jobs.job_models import MemberRow
from vaefrag.jobs.scheduling import SlotRequest, make_room, next_group, next_turn

HERE, THERE = {"cpu": 1, "workspace": 1}, {"cpu": 1}  # a worker that sees the folder, and one that does not


def turn(*claims: SlotRequest, free: dict[str, dict[str, int]] | None = None) -> str | None:
    chosen = next_turn(claims, {"here": HERE} if free is None else free)
    return chosen[0].job_id if chosen else None


def room(*claims: SlotRequest) -> tuple[str, str] | None:
    found = make_room(claims)
    return (found[0].job_id, found[1].job_id) if found else None


def test_slots_go_round_between_jobs() -> None:
    slots = {"a": 0, "b": 0, "c": 0}
    order = []
    for _ in range(6):
        chosen = turn(*(SlotRequest(name, 1, waiting=9, slots=count) for name, count in slots.items()))
        assert chosen is not None
        slots[chosen] += 1
        order.append(chosen)
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
        assert next_turn([training], free) == (training, "there")
        assert next_turn([analysis], free) == (analysis, "here")


def test_a_job_without_a_slot_is_given_one_by_the_one_with_most() -> None:
    rich, poor = SlotRequest("rich", 1, waiting=9, slots=3), SlotRequest("poor", 1, waiting=1, slots=2)
    new = SlotRequest("new", 1, waiting=4, slots=0)
    assert room(poor, rich, new) == ("rich", "new")
    assert room(poor, rich) is None


def test_trainings_with_one_slot_each_are_left_alone_but_make_room_for_an_analysis() -> None:
    trainings = [SlotRequest("a", 1, waiting=3, slots=1), SlotRequest("b", 1, waiting=3, slots=1)]
    assert room(*trainings, SlotRequest("c", 1, waiting=1, slots=0)) is None
    assert room(*trainings, SlotRequest("analysis", 0, waiting=1, slots=0)) == ("a", "analysis")
    assert room(*trainings, SlotRequest("partial", 0, waiting=1, slots=0, insists=False)) is None


def test_members_at_the_same_step_train_together() -> None:
    rows = [MemberRow(0, step=10), MemberRow(1), MemberRow(2, step=10), MemberRow(3, "done"), MemberRow(4)]
    assert next_group(rows, 2) == [0, 2]
    assert next_group(rows, 9) == [0, 2]


def test_a_member_whose_workers_keep_dying_is_tried_alone_and_last() -> None:
    rows = [MemberRow(0, deaths=2), MemberRow(1, deaths=1), MemberRow(2, deaths=2)]
    assert next_group(rows, 3) == [1]
    assert next_group([rows[0], rows[2]], 3) == [0]
