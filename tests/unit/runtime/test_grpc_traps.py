"""S03: what goes wrong silently in grpc.aio is not written anywhere.

A `context.abort` that nobody awaits runs on and sends the answer; a handler that is no coroutine holds up everybody.
Handlers raise our errors instead, which the edge turns into status.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = ("bridge", "scorer", "interactions", "insights", "trainer", "eventlog", "storage", "runtime", "deploy", "fakes")
EDGE = Path("runtime/servers/grpc_server.py")
ENDING = {"abort", "abort_with_status"}
# They set what the caller is told, and go on.
SETTING = {"set_code", "set_details"}


def of_socket(node: ast.Attribute) -> bool:
    """A transport of asyncio has an `abort` of its own."""
    return ast.unparse(node.value) == "self.transport"


def aborts_unawaited(tree: ast.AST) -> Iterator[int]:
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in awaited:
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in ENDING and not of_socket(node.func):
            yield node.lineno


def status_by_hand(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENDING | SETTING and not of_socket(node):
            yield node.lineno


def handlers_that_block(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Servicer") for base in node.bases):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name[:1].isupper():
                    yield each.lineno


def sources() -> Iterator[Path]:
    for package in OURS:
        yield from sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def syntax_trees() -> dict[Path, ast.AST]:
    return {path: ast.parse((ROOT / path).read_text()) for path in sources()}


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.AST]:
    return syntax_trees()


def test_every_abort_is_awaited(trees: dict[Path, ast.AST]):
    assert [(path, line) for path, tree in trees.items() for line in aborts_unawaited(tree)] == []


def test_only_the_edge_sets_a_status(trees: dict[Path, ast.AST]):
    assert {path for path, tree in trees.items() if any(status_by_hand(tree))} == {EDGE}


def test_every_handler_is_a_coroutine(trees: dict[Path, ast.AST]):
    assert [(path, line) for path, tree in trees.items() for line in handlers_that_block(tree)] == []


@pytest.mark.parametrize(
    ("find", "source"),
    [
        (aborts_unawaited, "async def f(context):\n    context.abort(1)\n"),
        (aborts_unawaited, "async def f(context):\n    gone = context.abort(1)\n    await g(gone)\n"),
        (status_by_hand, "async def f(context):\n    context.set_code(1)\n"),
        (status_by_hand, "async def f(context):\n    end = context.abort\n"),
        (handlers_that_block, "class S(x.FooServicer):\n    def Get(self, request, context): ...\n"),
    ],
)
def test_the_checks_find_what_they_look_for(find: Callable[[ast.AST], Iterator[int]], source: str):
    assert list(find(ast.parse(source)))
