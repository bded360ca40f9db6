"""What evidence calls a segment is what a recipe finds of it, whatever the column holds."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace.models.training_rows import candidates, in_segment
from headrace.monitoring.profiles.segment_cuts import LEVELS, codes, cut

NUMBERS = st.lists(st.none() | st.integers(-999, 999), min_size=1, max_size=60)
FLAGS = st.lists(st.none() | st.booleans(), min_size=1, max_size=20)
WORDS = st.lists(st.none() | st.sampled_from(["AA", "B6", "UA"]), min_size=1, max_size=20)


@given(
    NUMBERS.map(lambda values: pa.array(values, pa.int64()))
    | NUMBERS.map(lambda values: pa.array(values, pa.float64()))
    | FLAGS.map(lambda values: pa.array(values, pa.bool_()))
    | WORDS.map(lambda values: pa.array(values, pa.string()))
)
def test_a_recipe_finds_the_rows_of_a_segment(column):
    table = pa.table({"x": column})
    made = cut("x", table["x"])
    there = codes(made, table["x"])
    for code, segment in enumerate(made.segments):
        np.testing.assert_array_equal(in_segment(table, segment), there == code)


def test_a_level_of_text_that_became_a_number_is_nowhere():
    assert not in_segment(pa.table({"x": [1, 2]}), (("x", "AA"),)).any()


def test_levels_that_have_no_segment_of_their_own_are_left_to_another_candidate():
    table = pa.table({"x": [f"level {number}" for number in range(LEVELS + 2)]})
    *told, other, missing = cut("x", table["x"]).segments
    names = [
        [one.name for one in candidates(9, onset=5, segment=segment)]
        for segment in (*told, other, missing)
    ]
    assert names[-2] == ["all", "since"]
    assert all("since in the segment" in one for one in (*names[:-2], names[-1]))
