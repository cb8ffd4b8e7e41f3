"""Find the faces of a film once, and keep them in a file that later swaps read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from engine.analysis.film_analysis import (
    AnalysisKey,
    FilmAnalysis,
    file_sha256,
    read_analysis,
    write_analysis,
)
from engine.errors import MediaError, ParameterError
from engine.faces.analyser import ALGORITHM, FaceAnalyser
from engine.faces.hands import HandFinder
from engine.media.decode import read_frames
from engine.media.output_file import check_output
from engine.media.probe import probe
from engine.options import AnalysisOptions, Trim
from engine.pipeline.threads import prefetch
from engine.pipeline.video import QUEUE_DEPTH, Observe, Progress
from engine.values import Analysed, Face, Frame

# Options that choose a network: the sha256 of the chosen file tells more than its name.
_NAMES = frozenset({"detector", "embedder", "landmarker"})
_NEAR = 0.001  # seconds before a frame at which a search for it begins


def make_key(
    target: Path, options: AnalysisOptions, networks: Mapping[str, Mapping[str, str]]
) -> AnalysisKey:
    """Return what an analysis of a film depends on.

    `networks` holds for each role the sha256 of its networks by name.

    Raises:
        MediaError: The film cannot be read.
    """
    values = {name: value for name, value in asdict(options).items() if name not in _NAMES}
    return AnalysisKey(file_sha256(target), ALGORITHM, networks, values)


def analyse_film(
    target: Path,
    output: Path,
    make_key: Callable[[], AnalysisKey],
    analyser: FaceAnalyser,
    hands: HandFinder,
    *,
    overwrite: bool = False,
    observe: Observe | None = None,
) -> FilmAnalysis:
    """Find all faces and hands of a film and keep them in the file `output`.

    `make_key` reads the film once, after its name and the output's were checked. `observe` is
    called after each frame; what it raises ends the run, and no file appears.

    Raises:
        MediaError: A file cannot be read or written, or `target` is a picture.
        OutputExists: `output` exists, and `overwrite` is False.
    """
    info = probe(target)
    if info.kind != "video":
        raise MediaError(f"{target} is a picture; `faceswap-engine faces` lists its faces.")
    check_output(output, overwrite=overwrite, inputs=[target], suffixes=None)
    key = make_key()
    total = info.frame_count

    def counted(shots: Iterable[Analysed]) -> Iterator[Analysed]:
        for done, shot in enumerate(shots, start=1):
            yield shot
            if observe is not None:
                observe(Progress(done, total, "analysing"))

    with closing(prefetch(read_frames(target), QUEUE_DEPTH)) as frames:
        shots = hands.add_hands(analyser.analyse(frames), _all)
        return write_analysis(output, key, counted(shots), info.size, overwrite=overwrite)


def open_analysis(made: Path | FilmAnalysis, wanted: AnalysisKey) -> FilmAnalysis:
    """Return an analysis, or that in a file, if it serves a request.

    Raises:
        MediaError: The file cannot be read.
        ParameterError: It lacks something that the request needs.
    """
    analysis = made if isinstance(made, FilmAnalysis) else read_analysis(made)
    lack = analysis.key.lack(wanted)
    if lack is not None:
        raise ParameterError(
            f"analysis is {analysis.path}, but {lack}; make it again with "
            "`faceswap-engine analyse`."
        )
    return analysis


def frame_at(target: Path, analysis: FilmAnalysis, pts: int) -> Frame:
    """Return the film's frame with a pts.

    Raises:
        MediaError: The film cannot be read, or has no such frame.
    """
    start = max(analysis.seconds(pts) - _NEAR, 0.0)
    with closing(read_frames(target, Trim(start=start))) as frames:
        frame = next((one for one in frames if one.pts >= pts), None)
    if frame is None or frame.pts != pts:
        raise MediaError(f"{target} has no frame at pts {pts}; analyse the film again.")
    return frame


def _all(faces: tuple[Face, ...]) -> tuple[Face, ...]:
    return faces
