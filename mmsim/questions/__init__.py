"""The questions of the lessons, one module a lesson.

Every public function of such a module makes a `mmsim.lessons.Question` from a random generator; the
answer comes from a machine that ran.  tests/test_lessons.py asks each of them.
"""
