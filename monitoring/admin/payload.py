"""A payload as a person can read it. Payloads are hostile: what this returns is text, to be escaped."""

import unicodedata

BYTES_A_LINE = 16
# Control and format characters, surrogates, what is not assigned: they hide or reorder what stands there.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def as_text(payload: bytes) -> str | None:
    """UTF-8 text with what cannot be seen written out, or None where it is not UTF-8."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "".join(map(_seen, text))


def as_escaped(payload: bytes) -> str:
    """Whatever it is: the text in it, and `\\xff` for bytes that are none."""
    return "".join(map(_seen, payload.decode("utf-8", "backslashreplace")))


def as_hex(payload: bytes) -> str:
    """Offset, bytes and ASCII, as `hexdump -C` has them."""
    lines = []
    for offset in range(0, len(payload), BYTES_A_LINE):
        part = payload[offset : offset + BYTES_A_LINE]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<47}  |{plain}|")
    return "\n".join(lines)


def preview(payload: bytes, characters: int = 80) -> str:
    # 4 bytes a character at most; what is cut in the middle of one is no fault of the payload's.
    text = payload[: 4 * characters].decode("utf-8", "backslashreplace")
    shown = "".join("↵" if character == "\n" else _seen(character) for character in text[:characters])
    return shown + ("…" if len(text) > characters or len(payload) > 4 * characters else "")


def _seen(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in UNSEEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
