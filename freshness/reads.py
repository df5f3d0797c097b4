"""Which keys of params.yaml a stage's rules read, from their text: nobody keeps a list of them.

A rule reads what its file names as STUDY.key, and whatever the functions and constants of rules/*.smk that it uses
read, and those that these use; also inside lambdas and strings. A wildcard reads what its entry in WILDCARDS reads, and
two of them what says which combinations there are. Where a text does not tell, it is taken to read more: a STUDY that
is handed on as a whole is every key. A key too many costs DVC a look; one too few would let it miss an edit.
"""

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

STUDY, WILDCARDS = "STUDY", "WILDCARDS"
GOES_ON = {"else", "elif", "except", "finally"}  # they begin a line and no new statement
NO_TEXT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*\b(?! ?=(?!=))")  # not what follows a dot, nor what a param is called
KEY, WHOLE = re.compile(r"(?<![\w.])STUDY\.(\w+)"), re.compile(r"(?<![\w.])STUDY\b(?!\.)")
BRACED, F_STRING = re.compile(r"\{([^{}]*)\}"), re.compile(r"(?i)r?fr?['\"]")
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Rules:
    """The text of all rules. `keys`: those that params.yaml may have, in its order.

    `exists`: the name of what says which combinations of wildcards there are, if the rules have it.
    """

    def __init__(self, files: Iterable[Path], keys: Iterable[str], exists: str = "") -> None:
        self.keys, self.exists = list(keys), exists
        self.texts = {path.stem: path.read_text(encoding="utf-8") for path in files}
        self.sources: dict[str, list[str]] = defaultdict(list)  # name -> texts that it gets its value from
        for text in self.texts.values():
            for statement in statements(text):
                for name, source in definitions(statement):
                    self.sources[name].append(source)

    def keys_read(self, stage: str) -> list[str]:
        """The keys that the rules of a stage's file read."""
        texts, seen = [self.texts[stage]], set[str]()
        keys: set[str] = set()
        while texts:
            text = texts.pop()
            keys |= self._keys(text)
            used = uses(text)
            if len(self._wildcards(seen | used)) > 1:
                used.add(self.exists)
            texts += [source for name in used - seen for source in self.sources.get(name, [])]
            seen |= used
        return [key for key in self.keys if key in keys]

    def _keys(self, text: str) -> set[str]:
        read = " ".join(_code(text))
        return set(self.keys) if WHOLE.search(read) else set(KEY.findall(read))

    def _wildcards(self, names: set[str]) -> set[str]:
        return {name for name in names if name.startswith(f"{WILDCARDS}[") and name in self.sources}


def statements(text: str) -> Iterator[str]:
    """The text of each statement at the top of a file, with all that is indented under it."""
    ended, decorates, starts = True, False, []
    for token in _tokens(text):
        if ended and token.start[1] == 0 and token.string not in GOES_ON:
            if not decorates:
                starts.append(token.start[0] - 1)
            decorates = token.string == "@"
        ended = token.type == tokenize.NEWLINE
    lines = text.splitlines(keepends=True)
    return ("".join(lines[start:end]) for start, end in pairwise([*starts, len(lines)]))


def definitions(statement: str) -> Iterator[tuple[str, str]]:
    """Name -> text that it comes from, of all that a statement of Python makes or may change; so too WILDCARDS[x]."""
    if (tree := _parsed(statement)) is None:
        return  # a rule or the like, which gives none
    for name in _stored(tree).union(*map(_changed, tree.body)) - {STUDY}:
        yield name, statement
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and WILDCARDS in _stored(node):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                yield f"{WILDCARDS}[{ast.literal_eval(key) if key else ''}]", ast.unparse(value)


def uses(text: str) -> set[str]:
    """Names that a text takes from outside, and WILDCARDS[x] for every {x} in its strings."""
    plain, quoted = _code(text)
    tree, in_strings = _parsed(text), set(NAME.findall(quoted))
    names = _free(tree) if tree else set(NAME.findall(plain))
    return {*names, *in_strings, *(f"{WILDCARDS}[{name}]" for name in in_strings)} - {STUDY}


def _code(text: str) -> tuple[str, str]:
    """What a text says outside of its strings, and inside: what stands there in braces, and f-strings as a whole."""
    tokens = _tokens(text)
    strings = [token.string for token in tokens if token.type == tokenize.STRING]
    parts = [part for one in strings for part in ([one] if F_STRING.match(one) else BRACED.findall(one))]
    plain = " ".join(token.string for token in tokens if token.type != tokenize.STRING)
    return re.sub(r" ?\. ?", ".", plain), " ; ".join(parts)


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    lines = iter(text.splitlines(keepends=True))
    return [token for token in tokenize.generate_tokens(lambda: next(lines, "")) if token.type not in NO_TEXT]


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _stored(node: ast.AST) -> set[str]:
    """Names that a node gives a value in the scope that it stands in."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Lambda | Comprehension):
        return set()
    own = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return own.union(*map(_stored, ast.iter_child_nodes(node)))


def _changed(node: ast.AST) -> set[str]:
    """Names whose values a statement may change in place: x[...] = ..., x.append(...); a definition changes none."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return set()
    placed = (ast.Subscript, ast.Attribute)
    some = (one for one in ast.walk(node) if isinstance(one, ast.Expr) or (isinstance(one, placed) and _is_stored(one)))
    return set[str]().union(*map(_free, some))


def _is_stored(node: ast.Subscript | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def _free(node: ast.AST) -> set[str]:
    """Names that a node takes from outside: all that it reads, but for what a function or comprehension has itself."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    read = set[str]().union(*map(_free, ast.iter_child_nodes(node)))
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        given = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        body = node.body if isinstance(node.body, list) else [node.body]
        return read - given.union(*map(_stored, body)) | _free(node.args)
    if isinstance(node, Comprehension):
        own = set[str]().union(*(_stored(one.target) for one in node.generators))
        return read - own | _free(node.generators[0].iter)
    return read
