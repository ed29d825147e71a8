"""Who gets the next slot, and who makes room."""

from app.jobs.rows import MemberRow
from app.jobs.turns import Claim, make_room, next_claim, next_group

ONE = {"cpu": 1, "workspace": 1}


def turn(*claims: Claim, free: dict[str, int] | None = None) -> str | None:
    chosen = next_claim(claims, free or ONE)
    return chosen.job_id if chosen else None


def test_slots_go_round_between_jobs() -> None:
    slots = {"a": 0, "b": 0, "c": 0}
    order = []
    for _ in range(6):
        chosen = turn(*(Claim(name, 1, waiting=9, slots=count) for name, count in slots.items()))
        assert chosen is not None
        slots[chosen] += 1
        order.append(chosen)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_lower_rank_is_served_first_whatever_it_has() -> None:
    assert turn(Claim("train", 1, waiting=5, slots=0), Claim("analyze", 0, waiting=1, slots=3)) == "analyze"


def test_nobody_gets_more_than_asked_for_or_than_there_is() -> None:
    assert turn(Claim("a", 1, waiting=5, slots=2, most_slots=2)) is None
    assert turn(Claim("a", 1, waiting=0, slots=0)) is None
    assert turn(Claim("a", 1, waiting=1, slots=0), free={"cpu": 0}) is None


def test_work_that_needs_the_folder_waits_for_a_worker_that_sees_it() -> None:
    analysis = Claim("a", 0, waiting=1, slots=0, needs=("cpu", "workspace"))
    assert turn(analysis, free={"cpu": 1}) is None
    assert turn(analysis, Claim("t", 1, waiting=1, slots=0), free={"cpu": 1}) == "t"


def test_a_job_without_a_slot_is_given_one_by_the_one_with_most() -> None:
    rich, poor = Claim("rich", 1, waiting=9, slots=3), Claim("poor", 1, waiting=1, slots=2)
    new = Claim("new", 1, waiting=4, slots=0)
    assert make_room([poor, rich, new]) == "rich"
    assert make_room([poor, rich]) is None


def test_trainings_with_one_slot_each_are_left_alone_but_make_room_for_an_analysis() -> None:
    trainings = [Claim("a", 1, waiting=3, slots=1), Claim("b", 1, waiting=3, slots=1)]
    assert make_room([*trainings, Claim("c", 1, waiting=1, slots=0)]) is None
    assert make_room([*trainings, Claim("analysis", 0, waiting=1, slots=0)]) == "a"
    assert make_room([*trainings, Claim("partial", 0, waiting=1, slots=0, insists=False)]) is None


def test_members_at_the_same_step_train_together() -> None:
    rows = [MemberRow(0, step=10), MemberRow(1), MemberRow(2, step=10), MemberRow(3, "done"), MemberRow(4)]
    assert next_group(rows, 2) == [0, 2]
    assert next_group(rows, 9) == [0, 2]


def test_a_member_whose_workers_keep_dying_is_tried_alone_and_last() -> None:
    rows = [MemberRow(0, deaths=2), MemberRow(1, deaths=1), MemberRow(2, deaths=2)]
    assert next_group(rows, 3) == [1]
    assert next_group([rows[0], rows[2]], 3) == [0]
