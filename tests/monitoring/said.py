"""What the connectors say to people: every message in their code, with X for the values, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

# Callable -> the place of its message.
SPEAKERS = {"Refusal": 0, "NotYet": 0, "BadSignature": 0, "Failure": 1, "Verdict": 1, "Receipt": 1, "refuse": 1}
# Expressions that pass on what was said elsewhere.
PASSED_ON = {
    "sentence",  # a verdict's, and what the service answered
    "message",
    "failure.message",
    "result.message",
    "first['msg']",  # pydantic's own
    "str(deadline.PrivateAddress.__doc__)",
    "body.get('message') or body.get('error_description') or body.get('description') or ''",  # the service's own
    "redaction.body(f'{verdict.sentence}{said}', self.around.secrets)",
}


def said() -> Iterator[tuple[str, str]]:
    """(where, message) of each."""
    root = Path(settings.BASE_DIR)
    for path in sorted((root / "connectors").rglob("*.py")):
        if "simulat" not in str(path.relative_to(root)):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for call, message in _messages(tree):
                for text in _texts(message, tree):
                    yield f"{path.relative_to(root)}:{call.lineno}", text


def _messages(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.expr]]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in SPEAKERS and len(call.args) > SPEAKERS[name]:
            yield call, call.args[SPEAKERS[name]]


def _texts(node: ast.expr, tree: ast.AST) -> list[str]:
    """What the expression may come to; what it takes over from elsewhere is left out."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if node.value else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return _texts(node.body, tree) + _texts(node.orelse, tree)
    if isinstance(node, ast.BinOp):
        return [left + right for left in _texts(node.left, tree) for right in _texts(node.right, tree)]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        return _texts(node.value, tree)
    if isinstance(node, ast.Name) and (found := _assigned(node.id, tree)):
        return [text for value in found for text in _texts(value, tree)]
    if isinstance(node, ast.Call) and (returned := _returned(ast.unparse(node.func), tree)):
        return [text for value in returned for text in _texts(value, tree)]
    assert ast.unparse(node) in PASSED_ON, f"line {node.lineno}: what does {ast.unparse(node)} say?"
    return []


def _assigned(name: str, tree: ast.AST) -> list[ast.expr]:
    given: list[tuple[list[ast.expr], ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            given.append((node.targets, node.value))
        elif isinstance(node, ast.NamedExpr):
            given.append(([node.target], node.value))
    return [value for targets, value in given if any(isinstance(one, ast.Name) and one.id == name for one in targets)]


def _returned(name: str, tree: ast.AST) -> list[ast.expr]:
    """What a function of the same file may return."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    returns = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Return)]
    return [node.value for node in returns if node.value is not None]
