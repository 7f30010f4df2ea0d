"""The OpenAPI document as one HTML page: no script, nothing from elsewhere. Pure."""

from __future__ import annotations

import json
from html import escape
from typing import Any

__all__ = ["docs_page"]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #b4552d; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0 0 .25rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; display: flex; gap: .75rem; flex-wrap: wrap; }
summary::before { content: "\u25b8"; color: var(--accent); }
details[open] > summary::before { content: "\u25be"; }
details > div { padding: 0 .75rem .75rem; }
summary span:last-child { flex: 1; min-width: 16rem; }
.method { font-weight: 700; min-width: 4.5rem; color: var(--accent); }
code, pre { font: .875em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; border-radius: .5rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-top: 1px solid var(--line); }
th { border-top: 0; font-size: .8rem; }
"""
LIMITS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "length from {}",
    "maxLength": "length to {}",
    "minItems": "items from {}",
    "pattern": "like {}",
}


def docs_page(document: dict[str, Any], base_url: str) -> str:
    """The page.

    Args:
        document: The OpenAPI document.
        base_url: Where the server is, for the example; without a slash at the end.
    """
    info = document["info"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])}: API</title><style>{STYLE}</style></head><body>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
<p>{escape(info["description"])} As a document: <a href="openapi.json">openapi.json</a>.
What is marked with * is required.</p>
<pre>{escape(_example(base_url, needs_key=bool(document["security"])))}</pre>
{_operations(document)}
</body></html>
"""


def _example(base_url: str, *, needs_key: bool) -> str:
    key = "\n  -H 'authorization: Bearer YOUR-KEY' \\" if needs_key else ""
    body = {"model": "sonnet", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    return (
        f"curl -N {base_url}/v1/chat/completions \\{key}\n"
        f"  -H 'content-type: application/json' \\\n  -d '{json.dumps(body)}'"
    )


def _operations(document: dict[str, Any]) -> str:
    tags: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            shown = _operation(document, method, path, operation)
            tags.setdefault(operation["tags"][0], []).append(shown)
    return "".join(f"<h2>{escape(tag)}</h2>{''.join(shown)}" for tag, shown in tags.items())


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [
        (p["name"], p["in"], bool(p.get("required")), p.get("description", ""))
        for p in operation["parameters"]
    ]
    answers = [
        (status, ", ".join(answer["content"]), False, answer["description"])
        for status, answer in operation["responses"].items()
    ]
    return (
        f'<details><summary><span class="method">{method.upper()}</span>'
        f"<code>{escape(path)}</code><span>{escape(operation['summary'])}</span></summary><div>"
        f"{_table('Parameter', parameters)}{_body(document, operation)}"
        f"{_table('Status', answers)}</div></details>"
    )


def _body(document: dict[str, Any], operation: dict[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = _resolved(document, schema)
    required = schema.get("required", [])
    fields = [
        (name, _type(document, field), name in required, _limits(field))
        for name, field in schema.get("properties", {}).items()
    ]
    return (
        f"<p>{escape(schema.get('description', '').replace('`', ''))}</p>{_table('Field', fields)}"
    )


def _table(title: str, rows: list[tuple[str, str, bool, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if is_required else ''}</td>"
        f"<td>{escape(kind)}</td><td>{escape(text)}</td></tr>"
        for name, kind, is_required, text in rows
    )
    return f"<table><tr><th>{title}</th><th></th><th></th></tr>{cells}</table>"


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """A type in a few words; deeper structure stands in the document."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            kinds = [_type(document, one) for one in schema[union] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "$ref" in schema:
        return str(_resolved(document, schema).get("title", "object"))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def _limits(schema: dict[str, Any]) -> str:
    parts = [schema, *schema.get("anyOf", [])]
    found = [text.format(p[name]) for p in parts for name, text in LIMITS.items() if name in p]
    return "; ".join(found)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    resolved: dict[str, Any] = document["components"]["schemas"][name]
    return resolved
