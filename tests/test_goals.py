"""Goals: what is called the solution reaches each, and nothing shorter and no older kernel does."""

import pytest

from mmsim.experiments.goals import KINDS, MOST, Call, best, goal, make, placement, solve
from mmsim.widgets import Goals

SEEDS = [1, pytest.param(2, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full),
         pytest.param(4, marks=pytest.mark.full), pytest.param(5, marks=pytest.mark.full)]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_solution_reaches_the_goal_and_nothing_shorter_does(kind, seed):
    wanted = goal(kind, seed)
    patches, calls = best(wanted)
    kernel = wanted.build(patches)
    assert wanted.lacks(kernel), "it is not reached at the start"
    for number in calls:
        make(kernel, wanted.calls[number])
    assert wanted.lacks(kernel) == ""
    assert placement(kernel) == wanted.target
    kernel.verify()
    assert 1 <= len(calls) <= MOST
    assert len(calls) >= 2 or len(wanted.kernels) > 1, "one call is no puzzle"
    # every shorter sequence is tried, without taking two machines for one
    assert solve(wanted, patches, most=len(calls) - 1, merge=False) is None
    for older in range(wanted.kernels[0], patches):
        assert solve(wanted, older, most=2, merge=False) is None


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_is_another_goal_and_the_same_one_the_same(kind):
    goals = [goal(kind, seed) for seed in range(1, 5)]
    looks = [(each.text, each.target, [call.text for call in each.calls], placement(each.build(7))) for each in goals]
    assert len(set(map(str, looks))) > 1
    goal.cache_clear()
    again = goal(kind, 1)
    assert (again.text, again.target) == looks[0][:2]


def test_a_call_that_fails_says_how_and_counts():
    wanted = goal("A page that will not move", 1)
    kernel = wanted.build(7)
    assert make(kernel, Call("to a node that is not there", lambda k: k.tasks[0].migrate_pages(0, 0, 5))) == "-EINVAL"
    assert any(make(kernel, call).startswith("refused: ") for call in wanted.calls if "unpin" in call.text)


def press(goals, name):
    goals.controls[name].click()


def test_the_widget_counts_undoes_and_judges():
    goals = Goals()
    assert "○ 0 calls. Not yet: pages" in goals.line.value
    assert goals.controls["Undo"].disabled
    before = placement(goals.kernel)
    for number in goals.best[1]:
        goals.controls["call"].value = number
        press(goals, "Make the call")
    said = f"✓ Reached with {len(goals.best[1])} calls, and it cannot be done better."
    assert said in goals.line.value
    assert said in repr(goals)
    assert goals.made.value.count("<li>") == len(goals.best[1])
    press(goals, "Undo")
    assert "Not yet" in goals.line.value
    press(goals, "Start again")
    assert placement(goals.kernel) == before
    assert goals.made.value == ""


def test_the_first_call_is_chosen_at_first():
    goals = Goals()
    for kind in KINDS:
        goals.controls["goal"].value = kind
        press(goals, "Make the call")
        assert [number for number, _ in goals.done] == [0]
        assert goals.goal.calls[0].text in goals.made.value.replace("&quot;", '"')


def test_more_calls_than_needed_are_said_to_be_more():
    goals = Goals()
    goals.controls["goal"].value = "By cpuset"
    off = next(i for i, call in enumerate(goals.goal.calls) if call.text.endswith("= False"))
    for number in (off, *goals.best[1]):
        goals.call(number)
    assert f"It can be done with {len(goals.best[1])}." in goals.line.value


def test_a_newer_kernel_than_needed_is_said_to_be_newer():
    goals = Goals()
    goals.controls["goal"].value = "The oldest kernel that can"
    assert goals.controls["kernel"].value == 7
    for number in solve(goals.goal, 7):
        goals.call(number)
    assert "An older kernel can do it, too." in goals.line.value
    goals.controls["kernel"].value = goals.best[0]
    assert goals.done == []
    assert f"on a kernel with {'no patches' if not goals.best[0] else 'patch'}" in goals.answer()


def test_what_stays_and_why_is_shown_and_hints_come_one_by_one():
    goals = Goals()
    goals.controls["goal"].value = "A page that will not move"
    goals.call(0)
    assert "What stayed at the last call, and why" in goals.stayed.value
    for i in (1, 2, 1):
        press(goals, "Hint")
        assert f"Hint {i} of 2" in goals.line.value
    press(goals, "Solution")
    assert goals.goal.calls[goals.best[1][0]].text in goals.line.value.replace("&quot;", '"')


@pytest.mark.parametrize("seed", [-1, 10_000, True, "1", 1.5])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"seed is .*give a whole number"):
        Goals(seed)


@pytest.mark.full
def test_text_and_paper_hold_the_whole():
    goals = Goals(2)
    for kind in KINDS:
        goals.controls["goal"].value = kind
        text, paper = repr(goals), goals._repr_mimebundle_()["text/html"]
        assert goals.goal.text in text
        assert all(call.text in text for call in goals.goal.calls)
        assert paper.count("<summary>") == len(goals.goal.hints) + 1
        assert goals.answer().partition(".")[0] in paper
