"""Generators of files and names as somebody hostile, or a broken disk, would make them; all from one seed."""

import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np

SEED = 23
MARK = "executed"
"""A file of this name appears where something that was only to be read has been executed."""

ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        float("inf"),
        float("nan"),
        "",
        "x",
        "\x1b[2J",
        "a\nb",
        "<script>",
        "\u202eabc",
    ),
    *([], {}, [[[]]], {"a": {"b": {}}}, ["x"] * 50, {"$(touch executed)": 1}, "../../etc/passwd", "x" * 10_000),
)


def nested(depth: int) -> str:
    """A JSON or YAML text of lists within lists."""
    return "[" * depth + "]" * depth


def odd_texts() -> Iterator[str]:
    """Texts that are no content of anything."""
    yield from ("", " ", "\0", "{", "}", "[", "]", "nul", "null", "true", "1", '"text"', "[]", "{}", "{]", "a: b: c")
    yield from ("NaN", "Infinity", "1e999", "9" * 5000, '{"a": ' * 500, nested(2_000), nested(100_000), "\ufeff{}")
    yield from ("\x1b[31mred\x1b[0m", "\u202ereversed", "a\r\nb", "\x85", "%PDF-1.7", "PK\x03\x04", "#!/bin/sh\n" * 3)


def bombs() -> Iterator[str]:
    """YAML that is short and large."""
    yield "\n".join(
        [f"a0: &a0 {nested(1)}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
    )
    yield "a: &a [*a]"
    yield "a: &a {b: *a}"
    yield "a: " + nested(3_000)
    yield "a: " + "{b: " * 3_000
    yield "a: " + "9" * 100_000
    yield "\n".join(f"k{n}: {n}" for n in range(120_000))
    yield "a: |\n" + "  x\n" * 600_000


def changed(content: Any, rng: random.Random) -> Any:
    """Return JSON-like content with one place replaced, removed, or added to."""
    content = json.loads(json.dumps(content))
    places = list(_places(content))
    holder, key = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
    else:
        holder[key] = rng.choice(ODD_VALUES)
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


ODD_NAMES = (
    *("$(touch executed)", "`touch executed`", "; touch executed", "& touch executed", "| touch executed", "a && b"),
    *("my exp", "c++", "it's", "a(b", "a)b", "a{b}", "[a]", "a*", "?", "-rf", "--help", ".hidden", "~", "a\tb", 'a"b'),
    *(
        "a\\b",
        "a\nb",
        "\x1b[2J",
        "$HOME",
        "%s",
        "a=b",
        "a,b",
        "a:b",
        "a@b",
        "a^b",
        "a<b",
        "a>b",
        "!!",
        "\u202eb",
        "a#b",
    ),
)

ODD_LABELS = (
    *(
        "</script><script>alert(1)</script>",
        "<b>",
        "a\nb",
        "a\r\nb",
        "\x1b[2J",
        "",
        " ",
        "\t",
        "a\0b",
        "x" * 500,
        "a>b",
    ),
    *("a\u2028b", "a\x85b", "\u202eb", "a\x7f"),
)


def arrays(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """What could stand in a file of scores in place of returns of episodes."""
    yield "nan", np.array([1.0, np.nan])
    yield "infinite", np.array([np.inf])
    yield "empty", np.zeros(0)
    yield "two dimensions", np.zeros((2, 2))
    yield "no dimension", np.array(1.0)
    yield "complex", np.array([1 + 2j])
    yield "integers", np.arange(3)
    yield "truth", np.array([True, False])
    yield "text", ["1.0", "2.0"]
    yield "a scalar", rng.random()
    yield "a word", "returns"
    yield "nothing", None
    yield "a group", {"returns": np.ones(2)}
    yield "one bad of many", np.where(np.arange(1000) == rng.randrange(1000), np.nan, 1.0)


def hdf5_tricks(outside: str) -> Iterator[tuple[str, Callable[[h5py.File], object]]]:
    """What HDF5 can do beyond holding data: read other files, or nothing at all at great length."""
    yield "external link", lambda file: file.__setitem__("returns", h5py.ExternalLink(outside, "/data"))
    yield "external link to a group", lambda file: file.__setitem__("evaluations", h5py.ExternalLink(outside, "/"))
    yield "soft link", lambda file: file.__setitem__("returns", h5py.SoftLink("/lengths"))
    yield "dangling soft link", lambda file: file.__setitem__("returns", h5py.SoftLink("/nowhere"))
    yield "external storage", lambda file: _external(file, outside)
    yield "virtual", lambda file: file.create_virtual_dataset("returns", _virtual(outside))
    yield "itself", lambda file: file.__setitem__("self", file["/"])
    yield "twice", lambda file: file.__setitem__("again", file.create_dataset("first", data=np.ones(2)))
    yield "huge", lambda file: file.create_dataset("returns", (10**12,), "f8", chunks=(10**6,), compression="gzip")
    yield "huge contiguous", lambda file: file.create_dataset("huge", (10**5, 10**5), "f8", chunks=(1000, 1000))
    yield "named type", lambda file: file.__setitem__("type", np.dtype("f8"))
    yield "reference", lambda file: file.create_dataset("returns", data=file.ref, dtype=h5py.ref_dtype)
    yield "compound", lambda file: file.create_dataset("returns", data=np.zeros(2, [("a", "f8"), ("b", "i4")]))
    yield "opaque", lambda file: file.create_dataset("returns", data=np.void(b"abc"))
    yield "lists", lambda file: file.create_dataset("returns", (2,), h5py.vlen_dtype(np.float64))
    yield "enumeration of text", lambda file: file.attrs.create("seed", "x" * 1000)
    yield "lzf", lambda file: file.create_dataset("returns", data=np.ones(100), compression="lzf")
    yield "empty", lambda file: file.create_dataset("returns", data=h5py.Empty("f8"))
    yield (
        "bad text",
        lambda file: file.create_dataset("returns", data=np.array([b"\xff\xfe"], h5py.string_dtype("utf-8"))),
    )
    yield "attribute of references", lambda file: file.attrs.create("seed", file.ref, dtype=h5py.ref_dtype)


def _external(file: h5py.File, outside: str) -> object:
    return file.create_dataset("returns", (4,), "f8", external=[(outside, 0, 32)])


def _virtual(outside: str) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(outside, "data", (4,))
    return layout


def scrambled(content: bytes, rng: random.Random) -> bytes:
    """Return bytes of which a few are others, missing or too many."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 9)):
        position = rng.randrange(len(changed) + 1)
        kind = rng.randrange(3)
        if kind == 0 and changed:
            changed[position % len(changed)] = rng.randrange(256)
        elif kind == 1:
            changed[position:position] = rng.randbytes(rng.randrange(1, 40))
        else:
            del changed[position : position + rng.randrange(1, 200)]
    return bytes(changed)


def npz(**arrays: Any) -> bytes:
    """The bytes of an archive of arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
