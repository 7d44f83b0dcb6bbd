#!/usr/bin/env python3
"""Makes v1.55.json out of docker-v1.55.yaml: the container, exec, volume and system operations with what they refer to,
without texts and examples. `reduce.py > v1.55.json` (needs PyYAML)."""
import json, os, sys
import yaml

here = os.path.dirname(os.path.abspath(__file__))
whole = yaml.safe_load(open(os.path.join(here, "docker-v1.55.yaml")))
TEXTS = {"description", "example", "examples", "summary", "title", "format", "tags", "operationId", "x-go-name", "x-go-type",
         "x-go-type-skip", "externalDocs", "default", "minimum", "maximum", "pattern", "produces", "consumes", "x-omitempty"}
needed = []


def reduced(value, names=False):
    """`names`: the keys are names of members, not words of the schema."""
    if isinstance(value, list):
        return [reduced(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        if name not in needed:
            needed.append(name)
    out = {}
    for key, member in value.items():
        if names or key not in TEXTS:
            out[str(key)] = reduced(member, key in ("properties", "responses", "definitions") and not names)
    for part in out.get("allOf", []) if not names else []:
        mark(part)
    return out


def mark(part):
    if "$ref" not in part:
        part["x-part"] = True


paths = {}
for path, methods in whole["paths"].items():
    for method, operation in methods.items():
        if operation["tags"][0] in ("Container", "Exec", "Volume", "System"):
            paths.setdefault(path, {})[method] = reduced(operation)
definitions = {}
while len(definitions) < len(needed):
    for name in list(needed):
        if name not in definitions:
            definitions[name] = reduced(whole["definitions"][name])
# What `allOf` refers to is a part too.
for definition in [*definitions.values(), *paths.values()]:
    stack = [definition]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for part in value.get("allOf", []) if isinstance(value.get("allOf"), list) else []:
                if "$ref" in part:
                    definitions[part["$ref"].rsplit("/", 1)[1]]["x-part"] = True
            stack += value.values()
        elif isinstance(value, list):
            stack += value
json.dump({"paths": paths, "definitions": definitions}, sys.stdout, indent=1, sort_keys=True)
print()
