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
from loray.data.sources.records import TOOL_KEYS
from loray.data.sources.rows import Conversations
from loray.spec.sources import FieldsSpec

PLAIN_ROLES = pa.array(["system", "user", "assistant"])
CALLING_KEYS = ("tool_calls", *TOOL_KEYS)


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
    if fields.messages is not None:
        return _messages(table, fields)
    if fields.text is not None:
        return _side_by_side({"text": _filled(table, fields.text)})
    assert fields.prompt is not None  # noqa: S101 - the spec's own check
    assert fields.completion is not None  # noqa: S101
    pair = {"user": _filled(table, fields.prompt), "assistant": _filled(table, fields.completion)}
    if fields.system is None:
        return _side_by_side(pair)
    return _side_by_side({"system": _optional(table, fields.system), **pair})


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
    if fields.tools is not None and table[fields.tools].null_count < len(table):
        raise _UnplainError
    column = table[fields.messages].combine_chunks()
    messages = column.flatten()
    if column.null_count or messages.null_count or not len(messages):
        raise _UnplainError
    keys = set(messages.type.names)
    if not {"role", "content"} <= keys or any(
        messages.field(key).null_count < len(messages) for key in keys.intersection(CALLING_KEYS)
    ):
        raise _UnplainError
    roles, contents = (_as_text(messages.field(key)) for key in ("role", "content"))
    if roles.null_count or contents.null_count or _has_blank(contents):
        raise _UnplainError
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    answers = np.asarray(pc.equal(roles, "assistant"))
    is_answered = lengths > 0
    is_answered[is_answered] = np.add.reduceat(answers, offsets[:-1][is_answered]) > 0
    if not is_answered.all() or not pc.all(pc.is_in(roles, PLAIN_ROLES)).as_py():
        raise _UnplainError
    return _lists(offsets, roles, contents)


def _lists(offsets: np.ndarray, roles: pa.StringArray, contents: pa.StringArray) -> pa.ListArray:
    turns = pa.StructArray.from_arrays([roles, contents], fields=list(TURN))
    return pa.ListArray.from_arrays(offsets.astype(np.int32), turns)


def _optional(table: pa.Table, name: str) -> pa.StringArray:
    """A column in which an empty text is as good as none."""
    texts = _texts(table, name)
    is_empty = pc.equal(pc.binary_length(texts), 0)
    texts = pc.if_else(is_empty, pa.scalar(None, pa.string()), texts)
    if _has_blank(texts):
        raise _UnplainError
    return texts


def _filled(table: pa.Table, name: str) -> pa.StringArray:
    """A column without nulls and empty texts."""
    texts = _texts(table, name)
    if texts.null_count or _has_blank(texts):
        raise _UnplainError
    return texts


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
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return bool(pc.any(pc.or_(is_empty, pc.utf8_is_space(texts))).as_py())
