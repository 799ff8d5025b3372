"""Lessons 05 and 06 as a student goes through them: predict, run the lab, solve the exercises."""

import pytest
from lab import settled
from playwright.sync_api import expect
from student import button, cell, check_that_everyone_can_read, output, serious, solve, try_exercise, walk

POLICY, BUFFERS = "05-policy-and-syscalls.ipynb", "06-buffer-migrate.ipynb"


def said(place):
    return place.get_by_role("status").first


@pytest.mark.parametrize(("name", "pictures"), [(POLICY, 4), (BUFFERS, 5)])
def test_it_check_that_everyone_can_read(finished, name, pictures):
    check_that_everyone_can_read(finished(name), pictures)


def test_lesson_05_predict_run_and_check(finished):
    page = finished(POLICY)
    asked = cell(page, POLICY, "predict-pairs")
    button(asked, "○ 0 to 2, 1 to 4, 4 to 2").click()
    expect(said(asked)).to_contain_text("Then pages would arrive on a node among others that have still to leave it.")
    button(asked, "○ 0 to 2, 4 to 2, 1 to 4").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: node_remap()")
    for place, wrong, right in (("predict-new", 2, 3), ("predict-stays", "direct", "not collected"),
                                ("predict-answer", 0, 1)):  # fmt: skip
        asked = cell(page, POLICY, place)
        button(asked, f"○ {wrong}").click()
        expect(said(asked)).to_contain_text(f"✗ Not “{wrong}”.")
        button(asked, f"○ {right}").click()
        expect(said(asked)).to_contain_text("✓ Right.")

    lab = cell(page, POLICY, "lab")
    sentence = lab.locator(".mm-said")
    button(lab, "Step").click()
    expect(sentence).to_contain_text("do_migrate_pages(): next pair: node 2 to node 3")
    button(lab, "Last").click()
    expect(sentence).to_contain_text("migrate_pages returned 0; pages: direct 18")
    expect(lab.locator(".mm-sentences")).to_contain_text("migrate_pages returned 0; pages: swapped out 6")
    button(lab, "Settings ▸").click()
    lab.get_by_label("C cpuset").check()
    settled(page)
    button(lab, "Last").click()
    expect(sentence).to_contain_text("pages: direct 18")
    assert not serious(page, ".mm-lab")

    try_exercise(page, POLICY, "exercise-1", ("check(lesson05.twice, 18)", "Can one be copied twice?"),
                 ("check(lesson05.twice, 24)", "✓ Right."))  # fmt: skip
    call = "check(lesson05.for_good, lambda task, heap: task.{})"
    try_exercise(page, POLICY, "exercise-2", (call.format("migrate_pages(0, 0, 1)"), "6 pages came back to node 0"),
                 (call.format("mbind(heap, Policy.bind(1), move=True)"), "✓ Right."))  # fmt: skip
    call = "check(lesson05.own_remap, lambda node, old, new: new[{} % len(new)])"
    try_exercise(page, POLICY, "exercise-3", (call.format("node"), "Your function says"),
                 (call.format("old.index(node)"), "✓ Right."))  # fmt: skip


def test_lesson_06_predict_run_and_check(finished):
    page = finished(BUFFERS)
    asked = cell(page, BUFFERS, "predict-path")
    button(asked, "○ direct after writeout").click()
    expect(said(asked)).to_contain_text("✗ Not “direct after writeout”.")
    button(asked, "○ direct").click()
    expect(said(asked)).to_contain_text("✓ Right. Rule: its writepage puts the page into the swap cache")
    asked = cell(page, BUFFERS, "predict-references")
    for typed, judged in (("3", "✗ Not “3”. These are the ptes alone."), ("6", "✓ Right.")):
        asked.get_by_label("Answer").fill(typed)
        button(asked, "Check").click()
        expect(said(asked)).to_contain_text(judged)

    lab = cell(page, BUFFERS, "lab")
    sentences = lab.locator(".mm-sentences")
    button(lab, "Last").click()
    expect(sentences).to_contain_text("with buffers 6, failed for good 2, retries exhausted 2")
    expect(sentences).to_contain_text("pages: direct after writeout 18, retries exhausted 2")
    expect(lab.locator(".mm-panels")).to_contain_text("file writes\t6\t14", use_inner_text=True)
    button(lab, "Settings ▸").click()
    lab.get_by_label("6 buffers").uncheck()
    settled(page)
    button(lab, "Last").click()
    expect(lab.locator(".mm-said")).to_contain_text("pages: direct after writeout 18, retries exhausted 2")
    assert not serious(page, ".mm-lab")

    try_exercise(page, BUFFERS, "exercise-1", ("check(lesson06.saved, 5)", "What about the anonymous pages?"),
                 ("check(lesson06.saved, 20)", "✓ Right."))  # fmt: skip
    place = cell(page, BUFFERS, "exercise-2")
    expect(output(place)).to_contain_text("✗ Not yet. Put a method where the dots are")
    call = 'check(lesson06.method_table, dict(zip(["blockfs", "netfs", "blockfs-meta"], {})))'
    for methods, judged in (("[1, 1, 3]", "blockfs: retries exhausted"), ("[2, 1, 3]", "✓ Right.")):
        solve(page, place, call.format(methods))
        expect(output(place)).to_contain_text(judged)
    call = "check(lesson06.patience, lambda kernel, task: kernel.wait({}))"
    try_exercise(page, BUFFERS, "exercise-3", (call.format("10**6"), "✗ Not yet. The path is: retries exhausted."),
                 (call.format("5 * 10**9"), "✓ Right."))  # fmt: skip


@pytest.mark.parametrize("name", [POLICY, BUFFERS])
def test_a_student_walks_through_it(finished, name):
    walk(finished(name), name)
