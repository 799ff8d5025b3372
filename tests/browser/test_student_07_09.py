"""Lessons 07 and 09 as a student goes through them: predict, run, solve the exercises."""

import pytest
from lab import settled
from playwright.sync_api import expect
from student import Keys, button, cell, check_that_everyone_can_read, output, serious, try_exercise

RESERVE, REAL = "07-add-to-swap-gfp.ipynb", "09-real-kernels.ipynb"


def said(place):
    return place.get_by_role("status").first


@pytest.mark.parametrize(("name", "pictures"), [(RESERVE, 5), (REAL, 1)])
def test_it_check_that_everyone_can_read(finished, name, pictures):
    check_that_everyone_can_read(finished(name), pictures)


def test_lesson_07_predict_run_and_check(finished):
    page = finished(RESERVE)
    asked = cell(page, RESERVE, "predict-mask")
    button(asked, "○ no page").click()
    expect(said(asked)).to_contain_text("✗ You said no page. The model answers a page, after direct reclaim.")
    button(asked, "○ a page, after direct reclaim").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: not more than pages_min are free.")
    asked = cell(page, RESERVE, "predict-fails")
    button(asked, "Hint").click()
    expect(said(asked)).to_contain_text("Which pages need a swap entry")
    button(asked, "○ 0").click()
    expect(said(asked)).to_contain_text("✓ Right.")

    lab = cell(page, RESERVE, "lab")
    expect(lab.locator(".mm-picture")).to_have_count(2)
    button(lab, "Step").click()
    expect(lab.locator(".mm-said")).to_contain_text("event 1 of")
    button(lab, "Last").click()
    expect(lab.locator(".mm-flow")).to_have_accessible_name(
        "Paths: considered 52 | 52, failed for good 0 | 12, direct 52 | 40."
    )
    expect(lab.locator(".mm-panels")).to_contain_text("no memory for a radix tree node")
    lab.get_by_label("7 gfp mask").uncheck()
    settled(page)
    button(lab, "Last").click()
    expect(lab.locator(".mm-said")).to_contain_text("returned 12; pages: direct 40, failed for good 12")
    assert not serious(page, ".mm-lab")

    try_exercise(page, RESERVE, "exercise-1", ("check(lesson07.slab_pages, 16)", "the number of radix tree nodes"),
                 ("check(lesson07.slab_pages, 3)", "✓ Right."))  # fmt: skip
    try_exercise(page, RESERVE, "exercise-2", ("check(lesson07.before_the_heap, 40)", "all anonymous pages fail"),
                 ("check(lesson07.before_the_heap, 9)", "✓ Right."))  # fmt: skip
    call = "from mmsim import Policy\ncheck(lesson07.without_the_patch, lambda kernel, job, heap: {})"
    try_exercise(page, RESERVE, "exercise-3", (call.format("job.migrate_pages(0, 0, 1)"), "0 of the 12 pages"),
                 (call.format("job.mbind(heap, Policy.bind(1), move=True)"), "✓ Right."))  # fmt: skip
    try_exercise(page, RESERVE, "exercise-4", ("check(lesson07.own_mask, structs.GFP_WAIT)", "12 in station 7"),
                 ("check(lesson07.own_mask, structs.GFP_WAIT | structs.GFP_HIGH)", "✓ Right."))  # fmt: skip


def test_lesson_09_predict_run_and_check(finished):
    page = finished(REAL)
    asked = cell(page, REAL, "predict-older")
    button(asked, "○ 1 1 2 3 1 1 2 3 1 1 2 3").click()
    expect(said(asked)).to_contain_text("The model answers 1 3 2 3 1 3 2 3 1 3 2 3. Rule: since then: ")
    asked = cell(page, REAL, "predict-agrees")
    button(asked, "○ something else").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: since then: ")
    button(asked, "Another one (seed 6)").click()
    expect(said(asked)).to_be_empty()
    expect(output(cell(page, REAL, "own-here"))).to_contain_text("Not here: " if one_node() else "Ready. Nodes: [0, 1")

    call = "check(lesson09.todays_rule, lambda before, source, target: {})"
    try_exercise(page, REAL, "exercise-1", (call.format("before"), "cases are right. The first that is not"),
                 (RULE + "check(lesson09.todays_rule, after)", "✓ Right."))  # fmt: skip
    try_exercise(page, REAL, "exercise-2", ("check(lesson09.refused_today, 'spc0_mp')", "It differs in another way"),
                 ("check(lesson09.refused_today, 'mpe_03')", "✓ Right."))  # fmt: skip
    try_exercise(page, REAL, "exercise-3", ("check(lesson09.different_sizes, 98)", "Do all of them come out"),
                 ("check(lesson09.different_sizes, 35)", "✓ Right."))  # fmt: skip


RULE = """def after(before, source, target):
    for old, new in lesson09.pairs(source, target):
        if len(source) == len(target) or old not in target:
            before = [new if node == old else node for node in before]
    return before

"""


def one_node():
    from mmsim.linux import recorder

    try:
        return not recorder.usable_nodes()
    except OSError:
        return True


def test_a_prediction_of_lesson_07_by_keys(open_notebook):
    page = open_notebook(RESERVE, run=False)
    keys = Keys(page, RESERVE)
    asked = keys.run_to("predict-mask")
    expect(button(asked, "○ no page")).to_be_visible()
    keys.back_to("○ a page, after direct reclaim")
    page.keyboard.press("Enter")
    expect(said(asked)).to_contain_text("✓ Right.")
