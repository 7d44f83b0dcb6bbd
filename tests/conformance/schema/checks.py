# What schemathesis looks at beside its own checks, and what it must not send. Loaded through SCHEMATHESIS_HOOKS.
import collections
import json
import os

import schemathesis

# What the reference engine answers as well, although the definition does not have it.
AS_THE_REFERENCE = {
    # A cluster volume on a node that is no manager.
    ("POST /volumes/create", 503),
}

seen = collections.Counter()
fives = collections.Counter()
texts = collections.defaultdict(set)


@schemathesis.hook
def before_call(ctx, case, kwargs):
    # Streams that would otherwise last until the time limit of each request.
    query = case.query if isinstance(case.query, dict) else {}
    name = case.operation.path
    if name.endswith("/logs"):
        query["follow"] = "false"
    elif name == "/events":
        query.setdefault("until", "1")
        if not str(query["until"]).strip():
            query["until"] = "1"
    elif name.endswith("/stats"):
        query["stream"] = "false"
        query["one-shot"] = "true"
    case.query = query


@schemathesis.check
def a_server_error_is_in_the_contract(ctx, response, case):
    label = case.operation.label
    seen[label] += 1
    status = response.status_code
    if status < 500:
        return
    fives[(label, status)] += 1
    texts[(label, status)].add(response.text[:200])
    if (label, status) in AS_THE_REFERENCE:
        return
    documented = {str(code) for code in case.operation.definition.raw.get("responses", {})}
    assert str(status) in documented, f"{label} answered {status}, which its contract does not have: {response.text[:300]}"


@schemathesis.hook
def after_call(ctx, case, response):
    where = os.environ.get("SHOAL_SCHEMA_COUNTS")
    if where and sum(seen.values()) % 200 == 0:
        write(where)


def write(where):
    counts = {
        "cases": dict(seen),
        "server errors": {f"{label} {status}": count for (label, status), count in fives.items()},
        "texts": {f"{label} {status}": sorted(all)[:5] for (label, status), all in texts.items()},
    }
    with open(where, "w") as out:
        json.dump(counts, out, indent=1, sort_keys=True)


def go_on(where):
    """Counts on from what an earlier run of the same daemon wrote."""
    if not os.path.exists(where):
        return
    counts = json.load(open(where))
    seen.update(counts["cases"])
    for kind, count in counts["server errors"].items():
        label, status = kind.rsplit(" ", 1)
        fives[(label, int(status))] += count
    for kind, all in counts["texts"].items():
        label, status = kind.rsplit(" ", 1)
        texts[(label, int(status))].update(all)


import atexit

if os.environ.get("SHOAL_SCHEMA_COUNTS"):
    go_on(os.environ["SHOAL_SCHEMA_COUNTS"])
    atexit.register(write, os.environ["SHOAL_SCHEMA_COUNTS"])
