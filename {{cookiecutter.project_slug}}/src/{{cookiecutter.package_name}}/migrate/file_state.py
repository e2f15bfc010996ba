"""Analyses a migration's file: can it keep state from one run to the next?"""

import ast
from pathlib import Path


def remembers(path: Path) -> bool:
    """Whether the file can keep state. When in doubt, it can."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    return not all(map(_is_fixed, tree.body)) or any(map(_keeps, ast.walk(tree)))


def _is_fixed(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.FunctionDef(decorator_list=[]):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            return all(map(_is_constant, defaults))
        case ast.Expr(value=value) | ast.Assign(value=value):
            return _is_constant(value)
        case ast.AnnAssign(value=value):
            return value is None or _is_constant(value)
    return False


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_constant(operand)
        case ast.Tuple(elts=parts):
            return all(map(_is_constant, parts))
        case ast.Call(func=ast.Name(id="Backfill"), args=parts, keywords=named):
            return all(map(_is_part_of_backfill, [*parts, *(one.value for one in named)]))
    return False


def _is_part_of_backfill(node: ast.expr) -> bool:
    if isinstance(node, ast.Dict):  # the engine copies it, so it cannot be changed
        return all(map(_is_constant, filter(None, [*node.keys, *node.values])))
    return _is_constant(node)


def _keeps(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Store)
    return isinstance(node, ast.Global)
