"""The encoding of an XML document: told from its first bytes, and turned into UTF-8."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO, Final

from ocelake.errors import LogRefused

__all__ = ["Utf8Text"]

_ENCODINGS: Final = re.compile(
    r"utf[-_]?(8|16|32)([-_]?(le|be))?|us-ascii|ascii|latin-?1|iso[-_]?8859[-_]?\d{1,2}|(windows-|cp)\d{3,4}|koi8-[rtu]"
    r"|gb2312|gbk|gb18030|big5|shift_jis|euc[-_](jp|kr)|mac-?roman",
    re.IGNORECASE,
)
_DECLARED: Final = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)[\"']")
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)


class Utf8Text:
    """A document's text as UTF-8 bytes, whatever its encoding.

    Parameters
    ----------
    stream : BinaryIO
        The document.
    name : str
        What errors call it.
    block : int
        Bytes to look at for a byte order mark and an XML declaration.

    Raises
    ------
    LogRefused
        Where the declared encoding is not known, or the text is not in it (UTF-8 apart, which is left to expat).
    """

    def __init__(self, stream: BinaryIO, name: str, block: int) -> None:
        self._stream, self._name = stream, name
        self._head = stream.read(max(block, 256))
        encoding = self._told(self._head)
        self._decoder = None if encoding is None else codecs.getincrementaldecoder(encoding)()

    def _told(self, head: bytes) -> str | None:
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                return encoding
        declared = _DECLARED.match(head.removeprefix(codecs.BOM_UTF8))
        name = declared[1].decode("latin-1").strip() if declared else "utf-8"
        # What reads as ASCII up to here is no UTF-16, whatever it declares: writers of text in memory get that wrong.
        if re.fullmatch(r"utf[-_]?(8|16|32)([-_]?(le|be))?", name, re.IGNORECASE):
            return None
        try:
            if _ENCODINGS.fullmatch(name):
                codecs.lookup(name)
                return name
        except LookupError:
            pass
        raise LogRefused(
            f"The XML is declared to be in the encoding {name!r}, which is not known.",
            where=self._name,
            fix="Save it as UTF-8.",
        )

    def read(self, size: int) -> bytes:
        """Give the next bytes, about ``size``; none at the end."""
        data, self._head = (self._head, b"") if self._head else (self._stream.read(size), b"")
        if self._decoder is None:
            return data
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise LogRefused(
                f"The XML is not in its encoding: {error.reason}.", where=self._name, fix="Save it as UTF-8."
            ) from error
        # An odd cut may leave a block without a whole character; only the end of the file gives no bytes.
        return text.encode("utf-8", "surrogatepass") if text or not data else self.read(size)
