"""Open containers and read side data with PyAV 18.1 and 19 alike."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
from av.codec.codec import UnknownCodecError
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.media.joined_files import joined_flv
from engine.media.os_errors import media_url

# Texts that are no UTF-8 go from file to file byte by byte. PyAV 19 always reads them so, PyAV 18
# on request.
_ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# What a decoder says of damage. PyAV 19 forgets a decoder that could not be opened: the next packet
# is a ValueError.
DAMAGE = (av.FFmpegError, ValueError)
# Decoders that may name a colour profile in their pictures' side data: PyAV, up to 19.0, frees that
# name twice, and the process dies.
_NAMING_PROFILES = frozenset({"png", "apng", "mjpeg", "tiff", "webp", "webp_anim", "jpegxl"})
# Demuxers of the formats that are usual, each of which holds its media itself. Never add one that
# opens other files (hls, dash, concat, imf, sdp, vobsub, mlv): a file may be rewritten as a
# playlist after it was checked.
USUAL_FORMATS: Final = (
    "apng,asf,av1,avi,bmp_pipe,dv,flv,gif,h264,hevc,image2,ivf,jpeg_pipe,jpegxl_pipe,m4v,"
    "matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,png_pipe,rm,tiff_pipe,webm,"
    "webp_anim,webp_pipe,yuv4mpegpipe"
)
# All that are opened at all. Those of sound are here so that an error can say what the file is.
_FORMATS = (
    f"{USUAL_FORMATS},aac,ac3,aiff,alias_pix,anm,apv,asf_o,avs2,avs3,bink,brender_pix,caf,"
    "cavsvideo,cdxl,cine,cri_pipe,dds_pipe,dhav,dirac,dnxhd,dpx_pipe,ea,evc,exr_pipe,film_cpk,"
    "filmstrip,fits,flac,flic,gem_pipe,gif_pipe,gxf,h261,h263,hdr_pipe,hxvs,ico,iff,ipmovie,ipu,"
    "ivr,j2k_pipe,jpegls_pipe,jpegxl_anim,jpegxs_pipe,kux,live_flv,lxf,mjpeg_2000,moflex,mp3,"
    "mpjpeg,mtv,mv,mxg,nsv,nuv,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,pgx_pipe,"
    "phm_pipe,photocd_pipe,pictor_pipe,pmp,ppm_pipe,psd_pipe,pva,qdraw_pipe,qoi_pipe,r3d,roq,rpl,"
    "ser,sgi_pipe,smjpeg,smk,sunrast_pipe,swf,thp,ty,usm,vbn_pipe,vc1,vc1test,vivo,vvc,wav,wtv,"
    "xbm_pipe,xpm_pipe,xwd_pipe"
)
_OF_STREAMS = {
    "DISPLAYMATRIX": "display_matrix",
    "MASTERING_DISPLAY_METADATA": "mastering_display_metadata",
    "CONTENT_LIGHT_LEVEL": "content_light_level",
    "DYNAMIC_HDR_PLUS": "dynamic_hdr10_plus",
}


def library_versions() -> dict[str, str]:
    """Return the versions of PyAV and of its FFmpeg libraries, by name."""
    libraries = {
        name: ".".join(str(part) for part in version)
        for name, version in sorted(av.library_versions.items())
    }
    return {"PyAV": av.__version__, **libraries}


def codec_of(stream: Stream) -> str:
    """Return the name of a stream's codec; "" of one that FFmpeg does not know.

    A stream that a damaged file begins in its middle has a decoder without a codec, at which PyAV
    raises.
    """
    context = stream.codec_context
    if not context:
        # Only streams of data and attachments have a name of their own.
        return getattr(stream, "name", None) or ""
    try:
        return str(context.codec.canonical_name)
    except UnknownCodecError:
        return ""


def open_input(
    file: Path | BinaryIO,
    *,
    options: Mapping[str, str] | None = None,
    formats: str = _FORMATS,
) -> InputContainer:
    """Opens a file, or a file object, for reading; nothing in it reaches another file or network.

    Only the demuxers in `formats` may read it, whatever the file's name is.

    Raises:
        av.FFmpegError, ValueError: it cannot be opened.
        av.ArgumentError: it is of another format, among other reasons.
    """
    joined = joined_flv(file) if isinstance(file, Path) else None
    container: InputContainer = av.open(
        media_url(file) if isinstance(file, Path) and joined is None else joined or file,
        mode="r",
        options=dict(options or {}),
        container_options={
            "protocol_whitelist": "file",
            # A picture's name with a percent sign is a name, not a pattern of others.
            "pattern_type": "none",
            "format_whitelist": formats,
        },
        **_ANY_TEXT,
    )
    return container


def open_output(
    file: Path | BinaryIO, format_name: str, container_options: Mapping[str, str] | None = None
) -> OutputContainer:
    """Opens a file, or a file object, for writing; a name is never taken for a protocol.

    Raises:
        OSError, av.FFmpegError, ValueError: it cannot be opened.
    """
    container: OutputContainer = av.open(
        media_url(file) if isinstance(file, Path) else file,
        mode="w",
        format=format_name,
        container_options=dict(container_options or {}),
        **_ANY_TEXT,
    )
    return container


def path_of(container: InputContainer) -> Path:
    """The file that a container was opened from."""
    return Path(container.name.removeprefix(media_url(Path()).removesuffix(".")))


def printable(text: str) -> str:
    """A text of a file's metadata with bytes that are no UTF-8 shown as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_fraction(value: Any) -> Fraction:
    """A rational of PyAV as the standard library's; PyAV 19 has a type of its own."""
    return Fraction(int(value.numerator), int(value.denominator))


def side_data(stream: VideoStream, picture: VideoFrame, name: str) -> bytes | None:
    """Side data of a film: its picture's, or where that cannot be read, what its stream says.

    `name` is PyAV's name of the type for pictures. PyAV 18 holds on to each picture that it was
    asked about until the garbage is collected, so ask about few of them; and it knows of no side
    data of streams.
    """
    if codec_of(stream) in _NAMING_PROFILES:
        coded: Mapping[str, bytes] = getattr(stream.codec_context, "coded_side_data", {})
        return coded.get(_OF_STREAMS[name])
    try:
        entries: Any = picture.side_data
        return bytes(entries[name])
    except KeyError:
        return None
    except ValueError:
        return None  # PyAV 18 cannot list side data of a type newer than itself
