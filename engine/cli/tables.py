"""Results as text and tables for a terminal, or as JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from engine.cli.option_names import name_options
from engine.doctor.examine import Finding
from engine.pipeline.dry_run import TrackDecision
from engine.pipeline.int8_calibration import Calibrated
from engine.pipeline.preview import Preview
from engine.pipeline.records import clock, describe
from engine.pipeline.report import SwapReport
from engine.values import Attributes, Face
from engine.weights.weight_store import ImportReport, Status, WeightStore

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}
_COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}


def as_json(value: Any) -> None:
    """Print a value of dicts, lists, strings, numbers, booleans and None on stdout."""
    _echo_json(value, indent=2)


def as_json_line(value: Any) -> None:
    """Print a value as `as_json` does, in one line."""
    _echo_json(value, indent=None)


def _echo_json(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        # File names may be any bytes; JSON escapes what stdout cannot encode.
        text = json.dumps(value, indent=indent)
    typer.echo(text)


def report(done: SwapReport) -> None:
    """Print what was swapped, the time it took, and the networks."""
    rate = done.frames / done.seconds if done.seconds > 0 else 0.0
    frames = "1 frame" if done.frames == 1 else f"{done.frames} frames"
    swapped = f"{done.faces_swapped} of {done.faces_seen} faces swapped"
    if done.faces_faded:
        swapped += f" ({done.faces_faded} more faded out)"
    networks = ", ".join((done.setup.swapper.name, *done.setup.networks.values()))
    typer.echo(
        f"{done.output}: {swapped} in {frames}, "
        f"{done.seconds:.1f} s ({rate:.1f} frames/s) with {networks} on {done.setup.device}."
    )


def track_decisions(rows: Sequence[TrackDecision], *, in_json: bool) -> None:
    """Print what would be done with each track."""
    if in_json:
        as_json([asdict(row) for row in rows])
        return
    table(
        ("track", "from", "to", "frames", "role", "distance", "reason"),
        [
            (
                "-" if row.track is None else str(row.track),
                clock(row.first),
                clock(row.last),
                str(row.frames),
                _role(row),
                "-" if row.distance is None else f"{row.distance:.2f}",
                row.reason,
            )
            for row in rows
        ],
    )


def _role(row: TrackDecision) -> str:
    if row.role is None:
        return "swap" if row.chosen else "keep"
    return row.role if row.chosen else f"{row.role} (kept)"


def spans(done: SwapReport) -> None:
    """Print the parts of a video that want a look, a line each."""
    for span in done.spans:
        typer.echo(
            f"look at {clock(span.start)} to {clock(span.end)} (frames {span.first} to "
            f"{span.last}), track {span.track}: {span.reason}"
        )
    if done.more_spans:
        typer.echo(f"and {done.more_spans} more")


def wrote(*files: Path | None) -> None:
    """Print on stderr the files that were written besides the result."""
    for file in files:
        if file is not None:
            typer.echo(f"wrote {file}", err=True)


def preview(made: Preview) -> None:
    """Print what a preview shows, and what was decided about each face."""
    typer.echo(f"{made.output}: the frame at {clock(made.seconds)}, before and after.")
    for face in made.faces:
        typer.echo(describe(face))


def preview_dict(made: Preview) -> dict[str, Any]:
    """Return what a preview shows as JSON values, without the pictures."""
    return {
        "output": str(made.output),
        "seconds": made.seconds,
        "faces": [asdict(face) for face in made.faces],
        "warnings": list(made.warnings),
    }


def remarks(done: SwapReport, *, notes: bool = True) -> None:
    """Print the notes, if wanted, and the warnings on stderr."""
    for note in done.notes if notes else ():
        typer.echo(f"note: {name_options(note)}", err=True)
    for warning in done.warnings:
        typer.echo(f"warning: {name_options(warning)}", err=True)


def faces(found: Sequence[Face], distances: Sequence[float | None]) -> None:
    """Print a line for each face, numbered from 0, with its distance to a reference if known."""
    if not found:
        typer.echo(
            "No face was found, or none that passes the filters; --detect-rotated also detects "
            "heads that are not upright."
        )
        return
    rows = [
        (
            str(index),
            f"{face.box.left:.0f},{face.box.top:.0f} to {face.box.right:.0f},{face.box.bottom:.0f}",
            f"{face.score:.2f}",
            *_read(face.attributes or Attributes()),
            "-" if distance is None else f"{distance:.2f}",
        )
        for index, (face, distance) in enumerate(zip(found, distances, strict=True))
    ]
    table(("face", "box", "score", "age", "gender", "race", "distance"), rows)


def face_list(found: Sequence[Face], distances: Sequence[float | None]) -> list[dict[str, Any]]:
    """Return the faces as JSON values; boxes are left, top, right, bottom."""
    return [
        {
            "index": index,
            "box": [face.box.left, face.box.top, face.box.right, face.box.bottom],
            "score": face.score,
            **asdict(face.attributes or Attributes()),
            "distance": distance,
        }
        for index, (face, distance) in enumerate(zip(found, distances, strict=True))
    ]


def finding(one: Finding) -> None:
    """Print a finding, and its remedy if it has one."""
    mark = typer.style(f"{_MARKS[one.state]:>6}", fg=_COLOURS[one.state])
    typer.echo(f"{mark}  {one.subject}: {one.detail}")
    if one.remedy:
        typer.echo(f"        repair it with: {one.remedy}")


def weights(store: WeightStore) -> None:
    """Print the installed networks, then those that can be imported.

    The last column names the networks that each still needs, itself included.
    """
    rows = [
        (
            one["name"],
            one["role"],
            one["pack"],
            f"{one['size'] / 1e6:.1f} MB" if one["size"] else "-",
            one["licence"],
            ", ".join(one["missing"]) or "-",
        )
        for one in weight_list(store)
    ]
    table(("name", "role", "pack", "size", "licence", "misses"), rows)


def weight_list(store: WeightStore) -> list[dict[str, Any]]:
    """Return the networks as JSON values; one that is not installed has neither file nor size.

    If the record of imports cannot be read, only the embedded networks are listed.
    """
    here = store.weights()
    installable = {network.name: network for network in store.installable()}
    rows = [
        {
            **asdict(one),
            "missing": list(store.missing(one.name)) if one.name in installable else [],
        }
        for one in here
    ]
    if store.import_record_error():
        # Whether others are installed is unknown.
        return rows
    names = {weight.name for weight in here}
    return rows + [
        {
            "name": one.name,
            "role": one.role,
            "pack": one.pack,
            "file": None,
            "size": None,
            "licence": one.licence,
            "missing": list(store.missing(one.name)),
        }
        for one in installable.values()
        if one.name not in names
    ]


def brought(report: ImportReport) -> None:
    """Print the imported networks with role, licence, and how each was recognised."""
    for one in report.imported:
        how = "its sha256" if one.name in report.known else "its graph"
        done = "replaced" if one.name in report.replaced else "imported"
        done = "already here:" if one.name in report.present else done
        typer.echo(
            f"{done} {one.name} ({one.role}, {one.pack}; {one.licence}), recognised by {how}"
        )


def left(report: ImportReport) -> None:
    """Print on stderr the files that an import skipped, and the calibrations that it removed."""
    for sentence in report.skipped:
        typer.echo(f"note: {sentence}", err=True)
    for name in sorted(report.uncalibrated):
        typer.echo(
            f"note: the file that {name} replaces was calibrated for int8, this one is not yet; "
            f"run `faceswap-engine weights calibrate {name} PICTURES...`.",
            err=True,
        )


def calibrated(done: Calibrated) -> None:
    """Print the samples of a calibration, and the PSNR of int8 against fp32."""
    result = done.result
    files = "1 file" if done.files == 1 else f"{done.files} files"
    typer.echo(
        f"calibrated {done.name} on {result.samples} of {done.faces} faces from {files}; "
        f"on the other {result.held_out}, int8 is {result.psnr:.1f} dB from fp32. Use it "
        "with --precision int8."
    )
    if not done.apart:
        typer.echo(
            "note: the others are of the same file, and may be the same people a moment later; "
            "name more files to have it tested on others.",
            err=True,
        )


def statuses(found: Sequence[Status]) -> None:
    """Print the state of each weight file, and errors with their remedy."""
    table(("name", "state", "file"), [(one.weight.name, one.state, str(one.path)) for one in found])
    for one in found:
        if one.detail:
            typer.echo(f"error: {one.detail}", err=True)


def status_dict(status: Status) -> dict[str, str]:
    """Return the state of a weight file as JSON values."""
    return {
        "name": status.weight.name,
        "state": status.state,
        "file": str(status.path),
        "detail": status.detail,
    }


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns of the least width, for readers and for `awk` alike."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for cells in lines:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _read(attributes: Attributes) -> tuple[str, str, str]:
    age = "-" if attributes.age is None else str(attributes.age)
    return age, attributes.gender or "-", attributes.race or "-"
