"""How machines speak: what no sentence for a person may have in it."""

import re

# How pydantic, jsonschema, json and Python speak; what gives a pattern away; and what we say for want of words.
MACHINE = re.compile(
    r"as /docs describes|\bas the schema of|in the form that its|"
    r"Input should|Value error|Field required|String should|Extra inputs|validation error|instance of|"
    r"required property|does not match [\"^]|was unexpected|is not of type|codec can't|<class|Error\b|Traceback|"
    r"\[a-z|\[\^|\\d|\\p|\{\d+,|\(\?|\$$"
)
