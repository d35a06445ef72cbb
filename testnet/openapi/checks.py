"""What schemathesis checks besides: HTTP 200 has an error of JSON-RPC where the request was bad, and texts of
errors can be shown on a terminal."""

import json
import unicodedata

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation


def answers(response):
    """The answers of JSON-RPC in a response."""
    if response.headers.get("content-type") != ["application/json"]:
        return []
    value = json.loads(response.content)
    return [one for one in (value if isinstance(value, list) else [value]) if "jsonrpc" in one]


def is_bad(case):
    """Whether the request is one that the document does not have, in a way that the RPC looks at: it looks at no
    header of it."""
    where = ParameterLocation.BODY if case.method == "POST" else ParameterLocation.QUERY
    part = case.meta.components.get(where) if case.meta else None
    if part is None or part.mode != GenerationMode.NEGATIVE:
        return False
    if case.method == "POST":
        # A notification is not answered.
        requests = case.body if isinstance(case.body, list) else [case.body]
        return all(not isinstance(one, dict) or "id" in one for one in requests)
    # An empty value is one that was left out.
    query = case.query or {}
    return bool(query) and all(value not in ("", None, [], [""]) for value in query.values())


@schemathesis.check
def bad_requests_get_errors(ctx, response, case):
    told = answers(response)
    if told and response.status_code == 200 and is_bad(case):
        assert any("error" in one for one in told), f"a bad request was answered: {case.query} {case.body!r:.500}"


@schemathesis.check
def errors_can_be_shown(ctx, response, case):
    for one in answers(response):
        text = one.get("error", {}).get("data", "")
        assert all(unicodedata.category(sign) not in ("Cc", "Cf") for sign in text), f"signs in {text!r}"
