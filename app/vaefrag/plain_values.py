"""Values as bytes and back, by a format of which nothing can be executed: JSON, with arrays as NumPy writes them.

Kept are None, numbers, texts, bytes, arrays, lists, tuples, dicts under texts, and dataclasses of the core and the app.
"""

import dataclasses
import importlib
import io
import json
from typing import Any

import numpy as np

OURS = ("vaefrag_core.", "vaefrag.")  # modules whose dataclasses are made again


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Args:
        value: what the module lists.

    Raises:
        TypeError: when it is, or holds, anything else.
    """
    parts: list[bytes] = []
    header = json.dumps(_described(value, parts)).encode()
    lengths = [len(header), *map(len, parts)]
    return b"".join([json.dumps(lengths).encode(), b"\n", header, *parts])


def unpack(content: bytes) -> Any:
    """Return the value that `pack` has written.

    Raises:
        ValueError: when the bytes are not of `pack`, or of a dataclass that is no longer what it was.
    """
    try:
        first, _, rest = content.partition(b"\n")
        parts, start = [], 0
        for length in json.loads(first):
            parts.append(rest[start : start + length])
            start += length
        return _made(json.loads(parts[0]), parts[1:])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError, EOFError) as error:
        raise ValueError(f"Expected what `pack` has written, got {content[:20]!r}… ({error}).") from None


def _described(value: object, parts: list[bytes]) -> Any:
    """Return JSON content: a plain value as it is, any other as {kind: content}; arrays and bytes go to the parts."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _described(value.item(), parts)
    if isinstance(value, bytes):
        parts.append(value)
        return {"bytes": len(parts) - 1}
    if isinstance(value, np.ndarray):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, value, allow_pickle=False)
        parts.append(stream.getvalue())
        return {"array": len(parts) - 1}
    if isinstance(value, list):
        return [_described(item, parts) for item in value]
    if type(value) is tuple:  # a named one would come back without its names
        return {"tuple": [_described(item, parts) for item in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _described(item, parts) for key, item in value.items()}}
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith(OURS):
        fields = {f.name: _described(getattr(value, f.name), parts) for f in dataclasses.fields(value) if f.init}
        return {"dataclass": [type(value).__module__, type(value).__qualname__, fields]}
    raise TypeError(f"Expected a plain value, an array or a dataclass of vaefrag, got {type(value).__name__}.")


def _made(content: Any, parts: list[bytes]) -> Any:
    if isinstance(content, list):
        return [_made(item, parts) for item in content]
    if not isinstance(content, dict):
        return content
    ((kind, inside),) = content.items()
    if kind == "bytes":
        return parts[inside]
    if kind == "array":
        return np.lib.format.read_array(io.BytesIO(parts[inside]), allow_pickle=False)
    if kind == "tuple":
        return tuple(_made(item, parts) for item in inside)
    if kind == "dict":
        return {key: _made(item, parts) for key, item in inside.items()}
    module, name, fields = inside
    if kind != "dataclass" or not module.startswith(OURS):
        raise ValueError(f"a {kind} of {module}")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"{name} is no dataclass")
    return found(**{key: _made(item, parts) for key, item in fields.items()})
