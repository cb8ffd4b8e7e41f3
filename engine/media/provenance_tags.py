"""The statement in a file that its picture is synthetic, in words and in IPTC's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from engine.media.metadata_blocks import xmp_packet
from engine.media.os_errors import read_bytes, reading
from engine.media.probe import open_media
from engine.media.pyav import printable

# IPTC NewsCodes, digital source type: a composite with parts made by a trained model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DESCRIPTION = re.compile(r"<dc:description>.*?<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)
_DC = "http://purl.org/dc/elements/1.1/"


def marked_metadata(metadata: Mapping[str, str], marks: Mapping[str, str]) -> dict[str, str]:
    """A container's metadata with marks added.

    The comment, which every container keeps, ends with the source type; a comment that was there
    stays before it.
    """
    if not marks:
        return dict(metadata)
    statement = f"{marks.get('comment', '')} DigitalSourceType: {SOURCE_TYPE}".strip()
    own = [value for key, value in metadata.items() if key.lower() == "comment" and value]
    kept = {key: value for key, value in metadata.items() if key.lower() != "comment"}
    return {**kept, **marks, "comment": "\n".join((*own, statement))}


def marks_packet(marks: Mapping[str, str]) -> bytes:
    """An XMP packet with IPTC's DigitalSourceType and the marks' comment as its description."""
    comment = escape(marks.get("comment", ""))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""'
        f' xmlns:Iptc4xmpExt="{_IPTC}" xmlns:dc="{_DC}">'
        f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt>'
        "</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def read_mark(path: Path) -> str | None:
    """What a marked image or video says of itself; None where it carries no such mark.

    Raises:
        MediaError: the file cannot be read.
    """
    with open_media(path) as container:
        comments = [
            printable(value)
            for key, value in container.metadata.items()
            if key.lower() == "comment"
        ]
    said = next((comment for comment in comments if SOURCE_TYPE in comment), None)
    if said is not None:
        return said.removesuffix(f"DigitalSourceType: {SOURCE_TYPE}").strip() or SOURCE_TYPE
    packet = xmp_packet(read_bytes(path)) if _may_be_still(path) else None
    return None if packet is None else _described(packet)


def _may_be_still(path: Path) -> bool:
    with reading(path), path.open("rb") as file:
        return file.read(4)[:2] in (b"\xff\xd8", b"\x89P", b"RI")


def _described(packet: bytes) -> str | None:
    """What an XMP packet with the source type says in words."""
    text = packet.decode(errors="replace")
    if SOURCE_TYPE not in text:
        return None
    said = _DESCRIPTION.search(text)
    return (unescape(said[1]) if said else "") or SOURCE_TYPE
