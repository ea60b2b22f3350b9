"""Holds counterexamples against another validator, the Python package jsonschema.

Usage: second_validator.py FILE, lines as tests/compat/corpus.rs writes them. Every value must be an instance of `inner`
and none of `outer`. Left out, with their number: pairs that assert `format` or content, which the package leaves to
options; regular expressions and values whose reading differs by language (Python's `$` also matches before a last line
break, and its classes are Unicode's).
"""

import json
import re
import sys

from jsonschema.validators import validator_for


# The test suite says that this value is valid; the package, in 4.26, does not count `additionalProperties` of 2019-09.
KNOWN = {'draft2019-09 unevaluatedProperties {"bar":"bar","foo":"foo"}'}


def mentions(schema, names):
    if isinstance(schema, dict):
        return any(name in schema for name in names) or any(mentions(value, names) for value in schema.values())
    return isinstance(schema, list) and any(mentions(item, names) for item in schema)


def judge(case):
    for side in ("inner", "outer"):
        if mentions(case[side], ("format", "contentMediaType", "contentEncoding")):
            return "format"
        if mentions(case[side], ("pattern", "patternProperties")):
            text = json.dumps(case, ensure_ascii=False)
            if not text.isascii() or re.search(r"\\\\[a-zA-Z]|\\n", text):
                return "expressions"
    try:
        verdicts = [
            validator_for(case[side])(case[side]).is_valid(case["value"])
            if isinstance(case[side], dict)
            else case[side]
            for side in ("inner", "outer")
        ]
    except Exception as error:  # a schema that the package cannot resolve or compile
        return "unread: " + type(error).__name__
    if verdicts == [True, False]:
        return "confirmed"
    return "known" if case["origin"] in KNOWN else "denied"


def main():
    counts, denied = {}, []
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            verdict = judge(case)
            counts[verdict] = counts.get(verdict, 0) + 1
            if verdict == "denied":
                denied.append(line)
    print(json.dumps(counts, indent=1, sort_keys=True))
    for line in denied[:50]:
        print("denied:", line[:600])
    sys.exit(1 if denied or not counts.get("confirmed") else 0)


main()
