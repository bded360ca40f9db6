"""Load a document with Great Expectations, look at it as its users do, and write it back."""

import json
import os
import sys

os.environ["GX_ANALYTICS_ENABLED"] = "false"

from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResultSchema,
    expectationSuiteValidationResultSchema,
)

with open(sys.argv[1]) as file:  # noqa: PTH123
    given = json.load(file)
loaded = ExpectationSuiteValidationResultSchema().load(given)
assert loaded.get_failed_validation_results().results
assert loaded.describe_dict()["success"] is given["success"]
for result in loaded.results:
    if result.expectation_config.type.startswith("expect_"):
        result.expectation_config.to_domain_obj()  # the library knows type and kwargs
json.dump(expectationSuiteValidationResultSchema.dump(loaded), sys.stdout, default=str)
