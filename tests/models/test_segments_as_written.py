"""What evidence calls a segment is what a recipe finds of it, whatever the column holds."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace.models.recipe import in_segment
from headrace.monitoring.cuts import codes, cut

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
