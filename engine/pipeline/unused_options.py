"""Notes on options that have no effect on a swap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.options import SwapOptions

_DEFAULTS = SwapOptions()


def unused_option_notes(
    options: SwapOptions,
    kind: Literal["video", "image"],
    *,
    averages: bool,
    draws_source: bool,
) -> tuple[str, ...]:
    """Return a note for each reason why some of the given options have no effect.

    Args:
        options: options of the swap; defaults are not noted.
        kind: kind of the target.
        averages: the swapper uses several portraits.
        draws_source: the swapper draws the portraits' own pixels.
    """
    notes = (*_input_notes(options, kind), *_network_notes(options, averages=averages))
    if draws_source:
        return notes
    refusing = {"any_source": options.any_source}
    return (*notes, *_unused_note(refusing, "the swapper draws no part of the source's picture"))


def _input_notes(options: SwapOptions, kind: Literal["video", "image"]) -> Iterator[str]:
    rule, usual = options.selection, _DEFAULTS.selection
    frame = {"reference_frame_number": rule.reference_frame != usual.reference_frame}
    if rule.mode != "reference":
        reference = {
            **frame,
            "reference_face_position": rule.reference_position != usual.reference_position,
            "reference_face_distance": rule.reference_distance != usual.reference_distance,
            "reference_image": rule.reference_images != usual.reference_images,
        }
        yield from _unused_note(reference, f"face_selector_mode is {rule.mode}")
    elif rule.reference_images:
        yield from _unused_note(frame, "reference_image names the person")
    elif kind == "image":
        yield from _unused_note(frame, "the target is a picture")
    if kind == "image":
        video = {
            "detect_every": options.analysis.detect_every != _DEFAULTS.analysis.detect_every,
            "video_codec": options.encode.codec is not None,
            "crf": options.encode.crf is not None,
            "preset": options.encode.preset is not None,
            "pixel_format": options.encode.pixel_format is not None,
            "audio": options.encode.audio != _DEFAULTS.encode.audio,
            "start": options.trim.start is not None,
            "end": options.trim.end is not None,
        }
        yield from _unused_note(video, "the target is a picture")


def _network_notes(options: SwapOptions, *, averages: bool) -> Iterator[str]:
    enhance, limits, usual = options.enhance, options.limits, _DEFAULTS
    if not averages:
        extra = {"extra_source_image": options.extra_sources != ()}
        yield from _unused_note(extra, "the swapper takes one picture of the source")
    if enhance.enhancer is None:
        chosen = {
            "enhance_blend": enhance.blend != usual.enhance.blend,
            "enhance_fidelity": enhance.fidelity != usual.enhance.fidelity,
        }
        yield from _unused_note(chosen, "enhance names no restorer")
    elif enhance.blend == 0:
        yield from _unused_note({"enhance": True}, "enhance_blend is 0")
    if not limits.regions:
        parser = {"parser": limits.parser != usual.limits.parser}
        yield from _unused_note(parser, "face_region names no part of the face")


def _unused_note(chosen: dict[str, bool], why: str) -> Iterator[str]:
    names = [name for name, is_chosen in chosen.items() if is_chosen]
    if names:
        verb = "has" if len(names) == 1 else "have"
        yield f"{', '.join(names)} {verb} no effect: {why}."
