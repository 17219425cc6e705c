"""Columns of text to turns, for all rows at once, where every row is sound and plain.

Nearly every batch of a corpus is. One that is not (a value is missing, empty or no text, a message
calls tools) is answered with None, and read record by record, where every fault has its reason
(`loray.data.sources.records`). Both ways give the same rows; a test holds them to it.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import TURN
from loray.data.sources.messages import KEYS
from loray.data.sources.rows import Conversations
from loray.spec.column_templates import Part, template_of
from loray.spec.fields import UNNAMED, FieldsSpec

PLAIN_ROLES = pa.array(["system", "user", "assistant"])
EMPTY_KEYS = tuple(sorted(set().union(*KEYS.values()) - {"weight"}))
"""Keys of messages that may be there as null, in a row that is plain all the same."""


def conversations_of(table: pa.Table, fields: FieldsSpec) -> Conversations | None:
    """The rows of a table that holds the columns which `fields` names.

    Args:
        table: a missing column is one of nulls.
    """
    try:
        turns = _turns(table, fields)
        groups = None if fields.group is None else _texts(table, fields.group)
    except _UnplainError:
        return None
    if groups is not None and (groups.null_count or _has_blank(groups)):
        return None
    return Conversations(turns, groups)


class _UnplainError(Exception):
    """A column needs to be looked at value by value; answered with None."""


def _turns(table: pa.Table, fields: FieldsSpec) -> pa.ListArray:
    if fields.tools is not None and table[fields.tools].null_count < len(table):
        raise _UnplainError
    if fields.messages is not None:
        return _messages(table, fields)
    if fields.text is not None:
        return _side_by_side({"text": _filled(table, fields.text)})
    assert fields.prompt is not None  # noqa: S101 - the spec's own check
    assert fields.completion is not None  # noqa: S101
    if fields.history is not None and not _is_bare(table[fields.history].combine_chunks()):
        raise _UnplainError
    pair = {"user": _filled(table, fields.prompt), "assistant": _filled(table, fields.completion)}
    if fields.system is None:
        return _side_by_side(pair)
    return _side_by_side({"system": _optional(table, fields.system), **pair})


def _is_bare(lists: pa.Array) -> bool:
    """Whether lists are all null or empty."""
    return lists.null_count == len(lists) or (
        pa.types.is_list(lists.type) and not len(lists.flatten())
    )


def _side_by_side(columns: Mapping[str, pa.StringArray]) -> pa.ListArray:
    """A turn of each column, but for what is null."""
    is_there = np.stack([np.asarray(texts.is_valid()) for texts in columns.values()], axis=1)
    count, width = is_there.shape
    offsets = np.concatenate([[0], np.cumsum(is_there.sum(axis=1))])
    contents = pa.concat_arrays(columns.values())
    names = pa.array(columns)
    if width > 1:
        places = (np.arange(count)[:, None] + count * np.arange(width))[is_there]
        contents = contents.take(pa.array(places))
        return _lists(offsets, names.take(pa.array(places // count)), contents)
    return _lists(offsets, pa.repeat(names[0], count), contents)


def _messages(table: pa.Table, fields: FieldsSpec) -> pa.ListArray:
    column = table[fields.messages].combine_chunks()
    if fields.format in UNNAMED:
        raise _UnplainError
    if fields.system is not None or column.null_count or not pa.types.is_list(column.type):
        raise _UnplainError
    messages = column.flatten()
    if messages.null_count or not len(messages) or not pa.types.is_struct(messages.type):
        raise _UnplainError
    named = fields.message_keys
    keys = set(messages.type.names)
    if not keys.issuperset(named) or any(
        messages.field(key).null_count < len(messages)
        for key in keys.difference(named, fields.keys.leave_out)
    ):
        raise _UnplainError
    roles, contents = (_as_text(messages.field(key)) for key in named)
    if roles.null_count or contents.null_count or _has_blank(contents):
        raise _UnplainError
    if fields.is_respelled:
        roles = _respelled(roles, fields.role_of)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    answers = np.asarray(pc.equal(roles, "assistant"))
    is_answered = lengths > 0
    is_answered[is_answered] = np.add.reduceat(answers, offsets[:-1][is_answered]) > 0
    if not is_answered.all() or not pc.all(pc.is_in(roles, PLAIN_ROLES)).as_py():
        raise _UnplainError
    return _lists(offsets, roles, contents)


def _respelled(names: pa.StringArray, role_of: Mapping[str, str]) -> pa.StringArray:
    """The roles by the names that we use."""
    at = pc.index_in(names, value_set=pa.array(role_of, pa.string()))
    if at.null_count:
        raise _UnplainError
    return pa.array(role_of.values(), pa.string()).take(at)


def _lists(offsets: np.ndarray, roles: pa.StringArray, contents: pa.StringArray) -> pa.ListArray:
    turns = pa.StructArray.from_arrays([roles, contents], fields=list(TURN))
    return pa.ListArray.from_arrays(offsets.astype(np.int32), turns)


def _optional(table: pa.Table, value: str) -> pa.StringArray:
    """A column in which an empty text is as good as none."""
    column = template_of(value).column
    if column is None:
        return _filled(table, value)
    texts = _texts(table, column)
    is_empty = pc.equal(pc.binary_length(texts), 0)
    texts = pc.if_else(is_empty, pa.scalar(None, pa.string()), texts)
    if _has_blank(texts):
        raise _UnplainError
    return texts


def _filled(table: pa.Table, value: str) -> pa.StringArray:
    """A column, or a template of columns, without nulls and empty texts."""
    parts = [_part(table, part) for part in template_of(value).parts]
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, "")


def _part(table: pa.Table, part: Part) -> pa.StringArray:
    named = {name: _texts(table, name) for name in part.columns}
    if not part.is_optional and any(t.null_count or _has_blank(t) for t in named.values()):
        raise _UnplainError
    pieces = [named[piece.text] if piece.is_column else piece.text for piece in part.pieces]
    joined = pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, "")
    if not part.is_optional:
        return _column_of(joined, len(table))
    for texts in named.values():
        is_blank = pc.or_kleene(pc.is_null(texts), _are_blank(texts))
        joined = pc.if_else(is_blank, "", joined)
    return joined


def _column_of(value: pa.StringArray | str, count: int) -> pa.StringArray:
    return pa.repeat(value, count) if isinstance(value, str) else value


def _texts(table: pa.Table, name: str) -> pa.StringArray:
    return _as_text(table[name].combine_chunks())


def _as_text(array: pa.Array) -> pa.StringArray:
    """As strings that are UTF-8."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        raise _UnplainError
    try:
        texts = array.cast(pa.string())
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise _UnplainError from error
    return texts


def _has_blank(texts: pa.StringArray) -> bool:
    """Whether a text is empty or nothing but white space."""
    return bool(pc.any(_are_blank(texts)).as_py())


def _are_blank(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.or_(pc.equal(pc.binary_length(texts), 0), pc.utf8_is_space(texts))
