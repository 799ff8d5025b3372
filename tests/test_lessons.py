"""The helpers of the lessons, and every question: right answers pass, empty and typical wrong ones fail."""

import importlib
import inspect
import pkgutil

import pandas as pd
import pytest

from mmsim import Config, lessons
from mmsim.lessons import Question, ask, check, hint, predict, reveal, show_source, table, teaching
from mmsim.mm import migrate_page

MODULES = [
    importlib.import_module(f"mmsim.lessons.{m.name}")
    for m in pkgutil.iter_modules(lessons.__path__)
    if m.name.startswith("lesson")
]


def takes_rng(function):
    return list(inspect.signature(function).parameters) == ["rng"]


MAKERS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__
    if not name.startswith("_") and takes_rng(function)
}
SEEDS = range(1, 7)


@pytest.fixture(autouse=True)
def nothing_was_answered():
    teaching._KEPT.clear()


def sums(rng):
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    return Question(f"What is `{a} + {b}`?", a + b, "Rule: addition.", wrong={a * b: "That is the product."},
                    hints=("Use your fingers.", "Use your toes."))  # fmt: skip


def sides(rng):
    return Question("Left or right?", "left", "Rule: left is where the thumb is right.", ("left", "right"))


def even(rng):
    return Question("Give an even number.", "any even number", "Rule: halves.", wrong={3: "odd"},
                    judge=lambda value: "" if value % 2 == 0 else "It is odd.")  # fmt: skip


# -- every question of every lesson


# Those that explore races for each wrong answer; lesson 02 itself, which runs in `make test`, asks both.
LONG = ("lesson02.own_recheck", "lesson02.count_writer")


@pytest.fixture(
    scope="module", params=[pytest.param(one, marks=pytest.mark.full) if one in LONG else one for one in MAKERS]
)
def name(request):
    """The name of a question; all tests of one come one after the other, as `ask` does not remember all of them."""
    return request.param


def test_a_question_can_be_answered(name):
    for seed in SEEDS:
        question = ask(MAKERS[name], seed)
        assert question.text
        assert "rule" in question.rule.lower(), "the feedback names the rule that decided"
        assert question.text.count("`") % 2 == question.rule.count("`") % 2 == 0
        if not question.judge:
            assert question.mistake(question.answer) is None
            assert bool(question.feedback(question.answer))
        if question.choices:
            assert question.answer in question.choices
            assert len(set(question.choices)) == len(question.choices) > 1


def test_empty_and_wrong_answers_fail(name):
    make = MAKERS[name]
    judged = set()  # a function that the reader writes is judged by running it, which takes long: once a question
    for seed in SEEDS:
        question = ask(make, seed)
        if question.judge and question.text in judged:
            continue
        judged.add(question.text)
        for empty in (..., None, "", " "):
            assert not check(make, empty, seed)
            assert "No answer yet" in check(make, empty, seed).text
        typical = [w for w in (*question.wrong, *question.choices) if not teaching.same(w, question.answer)]
        assert typical or not question.judge, "name a typical wrong answer of an exercise"
        for wrong in typical:
            result = check(make, wrong, seed)
            assert not result
            assert result.text.startswith("✗")
            assert question.rule not in result.text, "an exercise does not give its answer away"


@pytest.mark.full
def test_the_same_seed_asks_the_same(name):
    first = [(q.text, str(q.answer)) for q in (ask(MAKERS[name], seed) for seed in SEEDS)]
    ask.cache_clear()
    assert [(q.text, str(q.answer)) for q in (ask(MAKERS[name], seed) for seed in SEEDS)] == first


@pytest.mark.full
def test_predictions_do_not_have_one_answer_for_all_seeds():
    several = [name for name, make in MAKERS.items() if len({ask(make, seed).text for seed in SEEDS}) > 1]
    assert several
    for name in several:
        if ask(MAKERS[name], 1).choices:
            assert len({ask(MAKERS[name], seed).answer for seed in range(1, 25)}) > 1, name


# -- check, hint, reveal


def test_check_names_the_rule_or_the_mistake():
    question = ask(sums, 1)
    assert check(sums, question.answer).text == "✓ Right. Rule: addition."
    assert check(sums, str(question.answer)), "what was typed into a field counts as well"
    product = next(iter(question.wrong))
    assert check(sums, product).text == "✗ Not yet. That is the product."
    assert check(sums, -1).text == "✗ Not yet. The hints may help."


def test_check_judges_where_several_answers_are_right():
    assert check(even, 4)
    assert check(even, 0)
    assert "It is odd" in check(even, 3).text
    assert "TypeError" in check(even, "x").text, "an answer that raises is a wrong answer"


def test_hints_and_answer_are_folded_and_also_plain():
    assert repr(hint(sums)) == "Hint 1: Use your fingers.\nHint 2: Use your toes."
    assert hint(sums)._repr_html_().count("<details>") == 2
    assert repr(reveal(sums)).startswith(f"Answer: The model answers {ask(sums, 1).answer}. Rule")


# -- predict


def test_the_first_wrong_answer_gets_a_hint_or_the_rule_and_the_second_the_answer():
    asked = predict(sums, seed=8)
    answer, product = asked.question.answer, next(iter(asked.question.wrong))
    field, _ = asked.options.children
    enter = lambda value: (field.set_trait("value", value), field._handle_custom_msg({"event": "submit"}, []))  # noqa: E731
    enter("1000")
    assert asked.line.value == "✗ Not “1000”. Hint: Use your fingers. Try once more."
    enter("1000")
    assert "Try once more" in asked.line.value, "the same answer is no second try"
    field.value = "100"
    assert asked.line.value == "", "a verdict is of the answer that stands there"
    assert predict(sums, seed=8).line.value.startswith("✗ Not “1000”."), "as it was, when the cell is run again"
    enter(str(product))
    assert asked.line.value == f"✗ You said {product}. That is the product. The model answers {answer}. Rule: addition."
    other = predict(sums, seed=9)
    assert other.guess(next(iter(other.question.wrong))).text.startswith("✗ Not")
    assert "That is the product. Try once more." in other.line.value


def test_hints_stay():
    asked = predict(sums, seed=10)
    asked.hint()
    asked.guess("1000")
    assert "Hint 1 of 2: Use your fingers." in asked.given.value
    asked.hint()
    assert asked.line.value == "Hint 2 of 2: Use your toes."
    assert asked.given.value == "<p>Hint 1 of 2: Use your fingers.</p>"


def test_a_prediction_is_judged_with_the_rule():
    asked = predict(sides)
    left, right = asked.options.children
    right.click()
    assert asked.line.value == "✗ Not “right”. Rule: left is where the thumb is right. Try once more."
    assert (left.description, right.description) == ("○ left", "● right")
    left.click()
    assert asked.line.value.startswith("✓ Right.")


def test_an_answer_survives_running_the_cell_again():
    asked = predict(sides, seed=5)
    asked.options.children[1].click()
    again = predict(sides, seed=5)
    assert again.line.value == asked.line.value
    assert again.options.children[1].description == "● right"
    assert predict(sides, seed=6).line.value == ""


def test_a_typed_answer():
    asked = predict(sums)
    field, button = asked.options.children
    button.click()
    assert "No answer yet" in asked.line.value
    field.value = str(asked.question.answer)
    button.click()
    assert asked.line.value.startswith("✓")
    assert predict(sums).options.children[0].value == field.value


def test_hints_come_one_by_one_and_another_question_follows():
    asked = predict(sums, seed=3)
    give, tell, another = asked.tools
    texts = []
    for _ in range(3):
        give.click()
        texts.append(asked.line.value)
    assert texts == ["Hint 1 of 2: Use your fingers.", "Hint 2 of 2: Use your toes.", "Hint 1 of 2: Use your fingers."]
    tell.click()
    assert str(asked.question.answer) in asked.line.value
    before = asked.question
    assert another.description == "Another one (seed 4)"
    another.click()
    assert asked.question == ask(sums, 4) != before
    assert asked.line.value == ""
    assert predict(sums, seed=3).question == ask(sums, 4), "the cell shows the question that was shown last"


def test_a_prediction_in_plain_text():
    asked = predict(sides, seed=2)
    text = asked._repr_mimebundle_()["text/plain"]
    assert "Left or right?" in text
    assert "left; right" in text
    assert "seed=2" in text
    assert "Rule" not in text
    assert "application/vnd.jupyter.widget-view+json" in asked._repr_mimebundle_()


def test_what_is_shown_is_escaped():
    def make(rng):
        return Question("Is `a < b`?", "<b>", "Rule: <none>.")

    assert "<code>a &lt; b</code>" in predict(make).text.value
    assert "&lt;none&gt;" in check(make, "<b>")._repr_html_()


# -- showing things


def test_source_with_its_place():
    shown = show_source(migrate_page.replace_page, Config.migration)
    first = inspect.getsourcelines(migrate_page.replace_page)[1]
    where = f"`replace_page` in `mmsim/mm/migrate_page.py`, line {first}"
    assert repr(shown).startswith(f"{where}\n\n```python\ndef replace")
    assert "```python\n@property\ndef migration(self):" in shown._repr_markdown_(), "a method is not indented"
    assert str(shown).count("```") == 4


def test_tables_of_texts_are_whole():
    long = "x" * 300
    shown = table(pd.DataFrame({"what": [long]}))
    assert long in repr(shown)
    assert long in shown._repr_html_()
    assert '<th style="text-align: left">what' in shown._repr_html_()
