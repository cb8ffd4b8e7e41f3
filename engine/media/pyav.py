"""Open files and read side data in the same way with PyAV 18.1 and 19."""

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

# Metadata that is not UTF-8 is copied byte by byte. PyAV 18 does so on request, PyAV 19 always.
_TEXT_ERRORS: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# Exceptions of a decoder for damaged data. PyAV 19 drops a decoder that could not be opened and
# raises ValueError for the next packet.
DAMAGE = (av.FFmpegError, ValueError)
# Decoders whose frames may have side data with the name of an ICC profile. PyAV, up to 19.0, frees
# that name twice, which crashes the process.
_PROFILE_CODECS = frozenset({"png", "apng", "mjpeg", "tiff", "webp", "webp_anim", "jpegxl"})
# Demuxers of the usual formats. Never add one that opens other files (hls, dash, concat, imf, sdp,
# vobsub, mlv): a client could replace a checked file by a playlist.
USUAL_FORMATS: Final = (
    "apng,asf,av1,avi,bmp_pipe,dv,flv,gif,h264,hevc,image2,ivf,jpeg_pipe,jpegxl_pipe,m4v,"
    "matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,png_pipe,rm,tiff_pipe,webm,"
    "webp_anim,webp_pipe,yuv4mpegpipe"
)
# All demuxers that are used. Those of audio formats are here for a better error message.
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
_STREAM_SIDE_DATA = {
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
    """Return FFmpeg's name of a stream's codec, or "" for an unknown codec.

    PyAV raises for a stream of a damaged file, whose decoder may have no codec.
    """
    context = stream.codec_context
    if not context:
        # Only data streams and attachments have a name.
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
    """Open a file or file object for reading, without access to other files or the network.

    Args:
        file: a path, or a binary file object.
        options: FFmpeg options of the decoders.
        formats: FFmpeg's names of the demuxers that may read it, separated by commas.

    Raises:
        av.FFmpegError, ValueError: the file cannot be opened.
        av.ArgumentError: the file has another format, among other reasons.
    """
    joined = joined_flv(file) if isinstance(file, Path) else None
    container: InputContainer = av.open(
        media_url(file) if isinstance(file, Path) and joined is None else joined or file,
        mode="r",
        options=dict(options or {}),
        container_options={
            "protocol_whitelist": "file",
            # A percent sign in the name of an image is no pattern for a sequence.
            "pattern_type": "none",
            "format_whitelist": formats,
        },
        **_TEXT_ERRORS,
    )
    return container


def open_output(
    file: Path | BinaryIO, format_name: str, container_options: Mapping[str, str] | None = None
) -> OutputContainer:
    """Open a file or file object for writing with the muxer `format_name`.

    Raises:
        OSError, av.FFmpegError, ValueError: the file cannot be opened.
    """
    container: OutputContainer = av.open(
        media_url(file) if isinstance(file, Path) else file,
        mode="w",
        format=format_name,
        container_options=dict(container_options or {}),
        **_TEXT_ERRORS,
    )
    return container


def path_of(container: InputContainer) -> Path:
    """Return the path with which `open_input` opened a container."""
    return Path(container.name.removeprefix(media_url(Path()).removesuffix(".")))


def printable(text: str) -> str:
    """Return metadata text with question marks for bytes that are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_fraction(value: Any) -> Fraction:
    """Return a rational number of PyAV as `Fraction`; PyAV 19 has a type of its own."""
    return Fraction(int(value.numerator), int(value.denominator))


def side_data(stream: VideoStream, picture: VideoFrame, name: str) -> bytes | None:
    """Return side data of a frame, or of its stream if the frame's cannot be read; None if absent.

    `name` is PyAV's name of the frame side data type. PyAV 18 keeps each frame alive until the
    garbage collector runs, so read the side data of few frames; it does not provide side data of
    streams.
    """
    if codec_of(stream) in _PROFILE_CODECS:
        coded: Mapping[str, bytes] = getattr(stream.codec_context, "coded_side_data", {})
        return coded.get(_STREAM_SIDE_DATA[name])
    try:
        entries: Any = picture.side_data
        return bytes(entries[name])
    except KeyError:
        return None
    except ValueError:
        return None  # PyAV 18 cannot list side data of types that it does not know
