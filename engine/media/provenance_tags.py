"""Provenance in a file's metadata: it is synthetic, in words and in IPTC's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

# IPTC NewsCodes, digital source type: a composite with elements made by a trained model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_DC = "http://purl.org/dc/elements/1.1/"


def add_provenance(
    metadata: Mapping[str, str], provenance: Mapping[str, str], tag: str = "comment"
) -> dict[str, str]:
    """Return a container's metadata with the provenance in one tag, which the container stores.

    The source type goes to the end of the statement. The target's own text in that tag stays
    before it.
    """
    if not provenance:
        return dict(metadata)
    statement = f"{provenance.get('comment', '')} DigitalSourceType: {SOURCE_TYPE}".strip()
    own = [value for key, value in metadata.items() if key.lower() == tag and value]
    others = {key: value for key, value in metadata.items() if key.lower() != tag}
    return {**others, tag: "\n".join((*own, statement))}


def provenance_xmp(provenance: Mapping[str, str]) -> bytes:
    """Return an XMP packet with IPTC's DigitalSourceType and the comment as its description."""
    comment = escape(provenance.get("comment", ""))
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
