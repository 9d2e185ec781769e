"""Ensembles → the tables that `sqlml/score/kernel/trees.c` reads.

A test is `x <= key` or `x == key` on integers in the order of the numbers. Trees stand in
groups, in their own order: `dense` groups of small trees, which share the tests they have in
common, and groups of large trees, in which rows walk from node to node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sqlml.compile.forest.trees import EQ, GT, GTE, LEQ, LT, MEMBER, NEQ, Ensemble, refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Int = NDArray[np.int64]
    Group = dict[str, Any]

# The layouts of trees.c.
TEST = np.dtype([("op", "u1"), ("rank", "u1"), ("line", "<u2"), ("from", "<u2")])
NODE = np.dtype([("line", "<u2"), ("from", "<u2")])
TREE = np.dtype(
    [
        ("nodes", "<u4"),
        ("node_at", "<u4"),
        ("term_at", "<u4"),
        ("vote_at", "<u4"),
        ("votes", "<u4"),
        ("planes", "<u4"),
        ("leaf_at", "<u8"),
    ]
)
STEP = np.dtype([("key", "<u4"), ("next", "<u4")])
LESS_OR_EQUAL, EQUAL, OR_EQUAL, OR_MISSING, NEVER = range(5)
LEAF = 1 << 31

_INF32, _INF64 = 0x7F800000, 0x7FF0000000000000

# A rank is one byte.
_MOST_THRESHOLDS = 255
# Beyond about this many nodes a row's own path is shorter than all tests together.
_MOST_NODES = 1023
# The most nodes of a tree that a 16-bit number can point into.
_UTMOST_NODES = 32_000
# The answers of a group, 64 bytes each, stay in a core's second cache.
_MOST_TESTS = 4096


def key32(x: Any) -> Int:
    """Integers in the order of float32 numbers; -0.0 and 0.0 are one."""
    bits = np.asarray(x, np.float32).view(np.int32).astype(np.int64)
    size = bits & 0x7FFFFFFF
    return np.where(bits < 0, -size, size)


def key64(x: Any) -> Int:
    """Integers in the order of doubles."""
    bits = np.asarray(x, np.float64).view(np.int64)
    size = bits & 0x7FFFFFFFFFFFFFFF
    return np.where(bits < 0, -size, size)


def key_below(x: Any) -> Int:
    """The key of the greatest float32 that is not above each double."""
    wide = np.asarray(x, np.float64)
    with np.errstate(over="ignore"):
        near = wide.astype(np.float32)
    return key32(near) - (near.astype(np.float64) > wide)


def double_of(key: Int) -> NDArray[np.float64]:
    """The double of a key; NaN below the key of minus infinity."""
    found = np.where(key < 0, -key | np.int64(-(1 << 63)), key).view(np.float64)
    return np.where(key < -_INF64, np.nan, found)


@dataclass(frozen=True, eq=False, slots=True)
class _Tests:
    """What each node asks, as integers."""

    column: Int
    equal: NDArray[np.bool_]
    key: Int
    """Below all numbers for a test that is never true."""
    members: Mapping[int, Int]
    """Node → the keys of a set, in place of its key."""
    swapped: NDArray[np.bool_]
    """Whether rows for which this test holds go where the original is false."""
    missing: NDArray[np.bool_]
    """Whether the test holds for NaN."""


@dataclass(frozen=True, eq=False, slots=True)
class _Tree:
    """One tree: the nodes of an ensemble that belong to it."""

    root: int
    nodes: Int
    dense: bool


def groups_of(
    e: Ensemble, column: Int, wide: NDArray[np.bool_], whole: NDArray[np.bool_]
) -> list[Group]:
    """The groups of an ensemble: scalars and arrays by the names in trees.c.

    `column`: for each feature the number of its kernel column; `wide` and `whole`: for each
    feature whether that has doubles, and whether it has integers only.
    """
    tests = _tests(e, column, wide, whole)
    trees = _trees(e, tests)
    by_column = np.zeros(int(column.max(initial=0)) + 1, np.bool_)
    used = np.unique(e.feature[e.mode >= 0])  # an unused feature bears another's number
    by_column[column[used]] = wide[used]
    left = np.where(tests.swapped, e.false, e.true)
    right = np.where(tests.swapped, e.true, e.false)
    votes = _Votes(e)
    groups: list[Group] = []
    first = 0
    dense = _Dense(e, tests, by_column)
    while first < len(trees):
        last = first + 1
        if trees[first].dense:
            dense.begin(trees[first])
            while last < len(trees) and trees[last].dense and dense.takes(trees[last]):
                last += 1
            groups.append(dense.group(trees[first:last], left, right, votes))
        else:
            while last < len(trees) and not trees[last].dense:
                last += 1
            walking = [t.root for t in trees[first:last]]
            groups.append(_walk(e, tests, by_column, walking, left, right, votes))
        first = last
    votes.check()
    return groups


# ---- tests ---------------------------------------------------------------------------


def _tests(e: Ensemble, column: Int, wide: NDArray[np.bool_], whole: NDArray[np.bool_]) -> _Tests:
    if len(e.feature) and e.feature.max() >= len(column):
        raise refused(e.operator, f"feature {e.feature.max()} is not among {len(column)}.")
    doubles = wide[e.feature] if len(e.feature) else np.zeros(0, np.bool_)
    key, exact = _keys(e.split, doubles)
    nothing = np.isnan(e.split)
    never = np.where(doubles, -_INF64 - 1, -_INF32 - 1)
    strict = np.isin(e.mode, (LT, GTE))
    # x < t is x <= the key below t; of a float32 x and a t between two floats, x <= the lower.
    key = np.where(strict & exact, key - 1, key)
    equal = np.isin(e.mode, (EQ, NEQ))
    key = np.where(nothing | (equal & ~exact), never, key)
    equal &= key != never
    if not np.isin(e.mode, (-1, LEQ, LT, GTE, GT, EQ, NEQ, MEMBER)).all():
        raise refused(e.operator, f"mode {e.mode.max()} of a node is unknown.")
    # Nothing is above NaN, and everything differs from it.
    swapped = (np.isin(e.mode, (GT, GTE)) & ~nothing) | (e.mode == NEQ)
    members = {}
    for node, values in e.members.items():
        feature = int(e.feature[node])
        small = len(values) < 31 and bool(np.all((values >= 0) & (values <= 30)))
        if not small and not whole[feature]:
            reason = "it takes 2.5 for a member of a large set that has 2, which ONNX does not."
            raise refused(e.operator, f"{reason} See how ONNX Runtime reads MEMBER.")
        keys, held = _keys(values, np.full(len(values), wide[feature]))
        members[node] = np.unique(keys[held])
    return _Tests(
        column[e.feature] if len(e.feature) else e.feature,
        equal,
        key,
        members,
        swapped,
        (e.missing | (e.mode == NEQ)) ^ swapped,
    )


def _keys(split: NDArray[Any], doubles: NDArray[np.bool_]) -> tuple[Int, NDArray[np.bool_]]:
    """Keys for columns of doubles or of float32s, and where the number itself is one of those."""
    if split.dtype == np.float32 and not doubles.any():
        return key32(split), np.ones(len(split), np.bool_)
    narrow = key_below(split)
    with np.errstate(over="ignore"):
        exact = split.astype(np.float32).astype(np.float64) == split
    return np.where(doubles, key64(split), narrow), exact | doubles


# ---- trees ---------------------------------------------------------------------------


def _trees(e: Ensemble, tests: _Tests) -> list[_Tree]:
    """The trees with their nodes. Refuses what is no tree: a node that two branches reach."""
    refs, owner = e.roots, np.arange(len(e.roots))
    found: list[tuple[Int, Int]] = []
    visited = 0
    while len(refs):
        inner = refs >= 0
        nodes, owner = refs[inner], owner[inner]
        visited += len(nodes)
        if visited > len(e.mode):
            raise refused(e.operator, "two branches lead to one node.")
        found.append((nodes, owner))
        refs = np.concatenate([e.true[nodes], e.false[nodes]])
        owner = np.concatenate([owner, owner])
    nodes = np.concatenate([n for n, _ in found])
    owners = np.concatenate([o for _, o in found])
    if len(np.unique(nodes)) < len(nodes):
        raise refused(e.operator, "two branches lead to one node.")
    order = np.argsort(owners, kind="stable")
    of_tree = np.split(nodes[order], np.cumsum(np.bincount(owners, minlength=len(e.roots)))[:-1])
    listed = set(e.members)
    trees = []
    for root, mine in zip(e.roots.tolist(), of_tree, strict=True):
        walkable = not tests.equal[mine].any() and listed.isdisjoint(
            mine.tolist() if listed else ()
        )
        dense = len(mine) <= (_MOST_NODES if walkable else _UTMOST_NODES)
        if not dense and not walkable:
            raise refused(e.operator, "a tree is too large for its tests of equality.")
        trees.append(_Tree(root, mine, dense))
    return trees


def _thresholds(tests: _Tests, node: int) -> list[int]:
    """The keys among which a row's rank answers the test."""
    if node in tests.members:
        return [k for key in tests.members[node].tolist() for k in (key - 1, key)]
    key = int(tests.key[node])
    if tests.equal[node]:
        return [key - 1, key]
    return [key] if key >= -_INF64 else []


class _Votes:
    """The leaves' weights, as tables of one output each."""

    def __init__(self, e: Ensemble) -> None:
        self._e = e
        self._single = len(e.target) == len(e.votes_at) - 1 and bool(
            np.all(np.diff(e.votes_at) == 1)
        )
        # What changes nothing where a leaf does not vote.
        self._idle = {"MIN": np.inf, "MAX": -np.inf}.get(e.aggregate, 0.0)
        self._always: set[int] = set()

    def check(self) -> None:
        """That every score has a tree that always votes for it, where a score without votes
        is not like one of zero: in a minimum, a maximum and a choice of labels.
        """
        particular = self._e.aggregate in ("MIN", "MAX") or self._e.labels is not None
        if particular and len(self._always) < self._e.width:
            raise refused(self._e.operator, f"{self._e.aggregate} of a score without votes.")

    def tables(self, leaves: Int, codes: Int, size: int) -> tuple[Int, NDArray[Any]]:
        """The outputs that a tree votes for, and for each of them [size] weights by code."""
        e = self._e
        if self._single:
            targets = np.unique(e.target[leaves])
            which = np.searchsorted(targets, e.target[leaves])
            table = np.full((len(targets), size), self._idle, e.dtype)
            table[which, codes] = e.weight[leaves]
            self._seen(targets, which, len(leaves))
            return targets, table
        count = e.votes_at[leaves + 1] - e.votes_at[leaves]
        code = np.repeat(codes, count)
        vote = np.concatenate([np.arange(e.votes_at[i], e.votes_at[i + 1]) for i in leaves])
        targets = np.unique(e.target[vote])
        which = np.searchsorted(targets, e.target[vote])
        if len(np.unique(which * size + code)) < len(vote):
            raise refused(e.operator, "a leaf votes twice for one score.")
        table = np.full((len(targets), size), self._idle, e.dtype)
        table[which, code] = e.weight[vote]
        self._seen(targets, which, len(leaves))
        return targets, table

    def _seen(self, targets: Int, which: Int, leaves: int) -> None:
        self._always.update(targets[np.bincount(which, minlength=len(targets)) == leaves].tolist())


# ---- groups of small trees -------------------------------------------------------------


class _Dense:
    """Grows a group of trees as long as its tests stay few."""

    def __init__(self, e: Ensemble, tests: _Tests, wide: NDArray[np.bool_]) -> None:
        self._e, self._tests, self._wide = e, tests, wide
        self._kinds: dict[tuple[Any, ...], int] = {}
        self._test_of: dict[int, int] = {}
        self._thresholds_of: list[list[tuple[int, int]]] = []

    def _test(self, node: int) -> int:
        """The number of a node's test among the different ones of the ensemble."""
        known = self._test_of.get(node)
        if known is not None:
            return known
        t = self._tests
        column, missing = int(t.column[node]), bool(t.missing[node])
        if node in t.members:
            kind: tuple[Any, ...] = (column, "in", tuple(t.members[node].tolist()), missing)
        else:
            kind = (column, "==" if t.equal[node] else "<=", int(t.key[node]), missing)
        number = self._kinds.setdefault(kind, len(self._kinds))
        if number == len(self._thresholds_of):
            narrow = -_INF64 if self._wide[column] else -_INF32
            keys = _thresholds(t, node)
            if kind[1] == "<=" and keys and keys[0] < narrow:
                keys = []
            self._thresholds_of.append([(column, key) for key in keys])
        self._test_of[node] = number
        return number

    def begin(self, tree: _Tree) -> None:
        self._held = {self._test(n) for n in tree.nodes.tolist()}

    def takes(self, tree: _Tree) -> bool:
        """Add a tree to the group, if that stays within its bounds."""
        held = self._held | {self._test(n) for n in tree.nodes.tolist()}
        if len(held) > _MOST_TESTS:
            return False
        self._held = held
        return True

    def group(self, trees: Sequence[_Tree], left: Int, right: Int, votes: _Votes) -> Group:
        kinds = list(self._kinds)
        held = sorted(self._held, key=lambda t: (kinds[t][0], kinds[t][3]))
        line_of = {test: line for line, test in enumerate(held)}
        searches: list[_Search] = []
        for column in sorted({kinds[t][0] for t in held}):
            mine = [t for t in held if kinds[t][0] == column]
            parts = _searches(column, {k for t in mine for _, k in self._thresholds_of[t]})
            plain: dict[Any, int] = {}
            for test in mine:
                _, op, key, missing = kinds[test]
                line = line_of[test]
                # With and without missing values a test differs in rows of NaN only.
                if (op, key) not in plain:
                    _answer(parts, op, key, line)
                if missing:
                    source = plain.get((op, key), line)
                    parts[-1].ops.append((OR_MISSING, 0, line, source))
                else:
                    plain[op, key] = line
            searches += parts
        ops = [s.ops for s in searches]
        return {
            "dense": True,
            "columns": np.array([s.column for s in searches], np.int32),
            "test_at": np.cumsum([0, *(len(o) for o in ops)]).astype(np.uint32),
            "tests": np.array([op for o in ops for op in o], TEST),
            "lines": len(held),
            **_search_arrays(searches, self._wide),
            **self._shapes(trees, line_of, left.tolist(), right.tolist(), votes),
        }

    def _shapes(
        self,
        trees: Sequence[_Tree],
        line_of: Mapping[int, int],
        left: list[int],
        right: list[int],
        votes: _Votes,
    ) -> Group:
        rows, terms = [], []
        lines: list[int] = []
        sources: list[int] = []
        counts = np.zeros((len(trees), 16), np.uint16)
        targets, tables = [], []
        vote_at = leaf_at = term_at = 0
        for i, tree in enumerate(trees):
            node_at = len(lines)
            shape = _Shape(tree.root, len(tree.nodes), left, right)
            lines += [line_of[self._test_of[n]] for n in shape.nodes]
            sources += shape.sources
            for p, plane in enumerate(shape.planes):
                counts[i, p] = len(plane)
                terms += plane
            voted, table = votes.tables(
                np.array(shape.leaves), np.array(shape.codes), 1 << len(shape.planes)
            )
            rows.append(
                (
                    len(shape.nodes),
                    node_at,
                    term_at,
                    vote_at,
                    len(voted),
                    len(shape.planes),
                    leaf_at,
                )
            )
            targets.append(voted)
            tables.append(table.reshape(-1))
            vote_at += len(voted)
            leaf_at += table.size
            term_at = len(terms)
        nodes = np.zeros(len(lines), NODE)
        nodes["line"], nodes["from"] = lines, sources
        return {
            "trees": np.array(rows, TREE),
            "nodes": nodes,
            "term_counts": counts.reshape(-1),
            "terms": np.array(terms, np.uint16),
            "votes": np.concatenate(targets).astype(np.uint32),
            "leaves": np.concatenate(tables),
        }


@dataclass(frozen=True, eq=False, slots=True)
class _Search:
    """Thresholds of a column, so few that a rank is one byte, and the tests that it answers."""

    column: int
    rank: dict[int, int]
    """Key → how many keys are below it."""
    ops: list[tuple[int, int, int, int]]


def _searches(column: int, thresholds: set[int]) -> list[_Search]:
    """All thresholds of a column, in pieces of at most 255."""
    ordered = sorted(thresholds)
    parts = []
    for first in range(0, max(len(ordered), 1), _MOST_THRESHOLDS - 1):
        keys = ordered[first : first + _MOST_THRESHOLDS - 1]
        if keys and keys[0] - 1 in thresholds:
            keys.insert(0, keys[0] - 1)  # equality with a key asks for the one below
        parts.append(_Search(column, {key: i for i, key in enumerate(keys)}, []))
    return parts


def _answer(parts: Sequence[_Search], op: str, key: Any, line: int) -> None:
    """How a line is made from the ranks. A key with the one below it is in one part."""
    wanted = key if op == "in" else (key,)
    first = True
    for part in parts:
        for k in wanted:
            if k not in part.rank or (op != "<=" and k - 1 not in part.rank):
                continue
            if op == "<=":
                part.ops.append((LESS_OR_EQUAL, part.rank[k], line, 0))
                return
            part.ops.append((EQUAL if first else OR_EQUAL, part.rank[k], line, 0))
            first = False
    if first:
        parts[-1].ops.append((NEVER, 0, line, 0))


def _search_arrays(searches: Sequence[_Search], wide: NDArray[np.bool_]) -> Group:
    """The thresholds' keys in the order of a binary search; of doubles also as they are."""
    top32, top64 = np.iinfo(np.int32).max, np.iinfo(np.int64).max
    depth, search = [], []
    # Read where a double's key is a threshold's; columns of floats share what has no keys.
    ordered, exact = [np.full(256, top32)], [np.full(256, top64)]
    search_at, sorted_at = 0, 256
    at: list[tuple[int, int]] = []
    for part in searches:
        keys = np.array(list(part.rank), np.int64)
        levels = len(keys).bit_length()
        whole = np.full((1 << levels) - 1, top32, np.int64)
        whole[: len(keys)] = _narrowed(keys) if wide[part.column] else keys
        tree = np.zeros(max(16, 1 << levels), np.int32)
        for level in range(levels):
            step = 1 << (levels - level)
            tree[1 << level : 2 << level] = whole[step // 2 - 1 :: step]
        at.append((search_at, sorted_at if wide[part.column] else 0))
        depth.append(levels)
        search.append(tree)
        search_at += len(tree)
        if wide[part.column]:
            ordered.append(np.append(whole, top32))
            exact.append(np.append(keys, np.full(len(whole) + 1 - len(keys), top64)))
            sorted_at += len(ordered[-1])
    return {
        "depth": np.array(depth, np.uint8),
        "search_at": np.array([a for a, _ in at], np.uint32),
        "sorted_at": np.array([b for _, b in at], np.uint32),
        "search": _joined(search, np.int32),
        "sorted": _joined(ordered, np.int32),
        "wide": _joined(exact, np.int64),
    }


def _narrowed(keys: Int) -> Int:
    """The keys of the greatest float32s below doubles."""
    values = double_of(keys)
    return np.where(np.isnan(values), -_INF32 - 1, key_below(values))


def _joined(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype)


class _Shape:
    """A small tree: nodes from the root on, and codes that tell its leaves apart.

    Each right branch changes the code of what is below it; one bit is enough nearly always,
    and each bit costs an operation on a line.
    """

    def __init__(self, root: int, inner: int, left: list[int], right: list[int]) -> None:
        width = inner.bit_length()  # of inner + 1 codes
        steps = _STEPS[width]
        used = bytearray(1 << width)
        used[0] = 1
        self.nodes: list[int] = []
        self.sources: list[int] = []
        self.leaves: list[int] = []
        self.codes: list[int] = []
        self.planes: list[list[int]] = [[] for _ in range(width)]
        waiting = [(root, 0, 0)]
        while waiting:
            ref, source, code = waiting.pop()
            if ref < 0:
                self.leaves.append(~ref)
                self.codes.append(code)
                continue
            place = 2 * len(self.nodes) + 2
            self.nodes.append(ref)
            self.sources.append(source)
            step = next(s for s in steps if not used[code ^ s])
            used[code ^ step] = 1
            for bit in range(width):
                if step >> bit & 1:
                    self.planes[bit].append(place + 1)
            waiting.append((right[ref], place + 1, code ^ step))
            waiting.append((left[ref], place, code))


_STEPS = [sorted(range(1, 1 << w), key=int.bit_count) for w in range(16)]


# ---- groups of large trees -------------------------------------------------------------


def _walk(
    e: Ensemble,
    tests: _Tests,
    wide: NDArray[np.bool_],
    roots: Sequence[int],
    left: Int,
    right: Int,
    votes: _Votes,
) -> Group:
    placed = [_placed(root, left, right) for root in roots]
    every = np.concatenate([nodes[nodes >= 0] for nodes, _ in placed])
    feature, kind = np.unique(2 * tests.column[every] + tests.missing[every], return_inverse=True)
    bits = max(1, int(len(feature) - 1).bit_length())
    columns, low = feature // 2, feature % 2
    sorted_keys: list[Int] = []
    keys = tests.key[every].copy()
    for i, column in enumerate(columns.tolist()):
        mine = kind == i
        if not wide[column]:
            sorted_keys.append(np.zeros(0, np.int64))
            continue
        # The rank of a double among the column's thresholds is what is compared.
        real = np.unique(keys[mine & (keys >= -_INF64)])
        keys[mine] = np.where(keys[mine] < -_INF64, -1, np.searchsorted(real, keys[mine]))
        sorted_keys.append(real)
    rows, steps, targets, tables = [], [], [], []
    node_at = vote_at = leaf_at = done = 0
    for nodes, children in placed:
        if len(nodes) >= 1 << (31 - bits):
            raise refused(e.operator, "a tree has too many nodes for as many features.")
        inner = nodes >= 0
        count = int(inner.sum())
        made = np.zeros(len(nodes), STEP)
        part = slice(done, done + count)
        made["key"][inner] = keys[part].astype(np.int32).view(np.uint32)
        made["next"][inner] = (children[inner] << bits) | kind[part]
        leaves = ~nodes[~inner]
        made["key"][~inner] = np.arange(len(leaves))
        made["next"][~inner] = LEAF
        voted, table = votes.tables(leaves, np.arange(len(leaves)), len(leaves))
        rows.append((len(nodes), node_at, 0, vote_at, len(voted), len(leaves), leaf_at))
        steps.append(made)
        targets.append(voted)
        tables.append(table.reshape(-1))
        node_at += len(nodes)
        vote_at += len(voted)
        leaf_at += table.size
        done += count
    return {
        "dense": False,
        "feature_bits": bits,
        "columns": columns.astype(np.int32),
        "missing_low": low.astype(np.uint8),
        "sorted_at": np.cumsum([0, *(len(k) for k in sorted_keys)])[:-1].astype(np.uint32),
        "sorted_n": np.array([len(k) for k in sorted_keys], np.uint32),
        "wide": _joined(sorted_keys, np.int64),
        "trees": np.array(rows, TREE),
        "steps": np.concatenate(steps),
        "votes": np.concatenate(targets).astype(np.uint32),
        "leaves": np.concatenate(tables),
    }


def _placed(root: int, left: Int, right: Int) -> tuple[Int, Int]:
    """Level by level the nodes and leaves (as ~leaf) of a tree, and where children begin.

    Two children stand side by side.
    """
    level = np.array([root])
    levels, children = [], []
    end = 1
    while len(level):
        inner = level >= 0
        places = np.zeros(len(level), np.int64)
        places[inner] = end + 2 * np.arange(int(inner.sum()))
        levels.append(level)
        children.append(places)
        nodes = level[inner]
        level = np.stack([left[nodes], right[nodes]], axis=1).ravel()
        end += len(level)
    return np.concatenate(levels), np.concatenate(children)
