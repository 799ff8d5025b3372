"""Real kernels judge the model as that release: what is equal stays so, no unknown word becomes an experiment."""

from pathlib import Path

import pytest

from mmsim.experiments import replay_early, verify
from mmsim.experiments.records import read

ORACLE = Path(__file__).parent / "oracle"
EQUAL = {"2.6.16-rc1": 475, "2.6.16": 424}  # at least


@pytest.fixture(scope="module")
def baseline():
    return verify.judge_all(ORACLE / "linux-2.6.16-rc1.jsonl.gz")


def test_the_baseline_is_as_the_real_2_6_16_rc1(baseline):
    counts = {verdict: sum(it.verdict == verdict for it in baseline) for verdict in verify.VERDICTS}
    assert counts["equal"] >= EQUAL["2.6.16-rc1"]
    assert sum(counts.values()) == len(baseline) == 513


def test_a_falsified_record_is_not_equal(baseline):
    for it in [it for it in baseline if it.verdict == "equal" and "after" in it.linux][::40]:
        false = it.case.raw | {"errno": "EXDEV", "before": [3] * len(it.case.raw["before"])}
        assert verify.judge(it.case._replace(raw=false)).verdict != "equal", it.case.id


@pytest.mark.parametrize("name", ["linux-2.6.16.jsonl.gz", "linux-2.6.18.jsonl.gz", "linux-6.1.jsonl"])
def test_unknown_words_are_never_another_experiment(name):
    for case in read(ORACLE / name)[::60]:
        for part in ("setup", "call"):
            odd = case._replace(**{part: type(case.setup)({**getattr(case, part), "colour": "green"}, "here")})
            assert verify.judge(odd).verdict == "not asked", case.id


def test_every_word_of_the_early_records_is_known():
    for name in ("linux-2.6.16-rc1.jsonl.gz", "linux-2.6.16.jsonl.gz"):
        assert [case.id for case in read(ORACLE / name) if replay_early.unknown_words(case)] == []
