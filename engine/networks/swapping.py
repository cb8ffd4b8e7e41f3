"""Choose the networks that swap, restore and limit, and make their objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from engine.compose.limiter import Limiter
from engine.compose.mouth import MouthLimiter
from engine.compose.occluder import Occluder
from engine.compose.parsing import RegionLimiter
from engine.enhance.restorer import Restorer
from engine.errors import ParameterError, WeightsMissing
from engine.faces.landmarks import alignment_points
from engine.networks.chosen import ChosenNetworks
from engine.networks.resolve import resolve
from engine.optimise.int8 import SampleMaker
from engine.options import AUTO, PIXEL_BOOSTS, EnhanceOptions, LimitOptions, SwapOptions
from engine.runtime.batches import Batches
from engine.runtime.session import Session
from engine.swappers.mesh.warp import MeshWarp
from engine.swappers.neural.network import NeuralSwapper
from engine.swappers.neural.pixel_boost import supports_size
from engine.swappers.neural.source_encoding import (
    EMBEDDER,
    EMBEDDING_ENCODER,
    ConverterEncoder,
    CropEncoder,
    EmapEncoder,
    SourceEncoder,
)
from engine.swappers.swapper import Swapper
from engine.values import Choice
from engine.weights.emap import load_emap
from engine.weights.manifest import Network, Role
from engine.weights.weight_store import WeightStore

# Frames whose faces go through a network together on a card, where one face is a small batch.
_FRAMES_AT_ONCE = 4
OCCLUDER: Final = "occluder"  # the embedded network


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A prepared graph that is ready to run, with a note on its preparation for the report."""

    batches: Batches
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SwapNetworks:
    """Makes swappers, restorers and limiters from installed networks.

    Attributes:
        store: The weight files.
        session: Returns the session of a network at fp32.
        graph: Returns the prepared graph of a network at the requested precision.
        fp32_graph: Returns the prepared graph of a network at fp32.
    """

    store: WeightStore
    session: Callable[[str], Session]
    graph: Callable[[str], Graph]
    fp32_graph: Callable[[str], Graph]

    def choose(
        self, asked: str | Swapper[Any], options: SwapOptions, *, from_clip: bool = False
    ) -> ChosenNetworks:
        """Return the swapper, restorer and limiters that a request's options ask for.

        Args:
            asked: A swapper's name, "auto", or the caller's own swapper.
            options: The options of the request.
            from_clip: Whether the source is a clip, in which the person must be told from others.

        Raises:
            ParameterError: A name is not allowed, or the swapper does not support an option.
            WeightsError: A network is missing or corrupt.
            RuntimeUnavailable: A network cannot be prepared or run.
        """
        if isinstance(asked, str):
            choice = self.choice(asked, options.pixel_boost)
            if choice.name == MeshWarp.name and not options.exact_boost:
                choice = self.choice(asked, None)
        else:
            choice = Choice(asked.name, "the caller brought it")
        names = dict(self._names(options))
        # All names are checked by now; preparing networks may take a while.
        graphs = {field: self._graph(field, name) for field, name in names.items()}
        if not isinstance(asked, str):
            swapper = asked
        elif choice.name == MeshWarp.name:
            swapper = MeshWarp()
        else:
            graphs["swapper"] = self.graph(choice.name)
            swapper = self._neural(choice.name, graphs["swapper"], options)
        neural = swapper if isinstance(swapper, NeuralSwapper) else None
        if neural is None and options.source_weight != 1:
            raise ParameterError(
                f"source_weight is {options.source_weight:g}, and the swapper {choice.name} takes "
                "no embedding that it could weight; allowed: 1, or a swapper that takes one."
            )
        enhancer = None
        if "enhance" in names:
            enhancer = self._restorer(names["enhance"], graphs["enhance"], options.enhance)
        several = swapper.averages and (from_clip or bool(options.extra_sources))
        needs_embedding = neural is not None and (neural.needs_embedding or several)
        sides = _sides(neural, options)
        return ChosenNetworks(
            swapper=swapper,
            choice=choice,
            occluder=self._occluder(names, graphs),
            limiters=tuple(self._limiters(names, graphs, options.limits)),
            enhancer=enhancer,
            names=names,
            takes_precision="swapper" in graphs or "enhance" in graphs,
            needs_embedding=needs_embedding,
            # Several portraits are compared with each other, whatever the swapper takes.
            compares_portraits=(from_clip or several) and not needs_embedding,
            needs_target_embedding=neural is not None and neural.needs_target_embedding,
            sides=sides,
            at_once=_FRAMES_AT_ONCE
            if any(
                graph.batches.max_size > 1
                for field, graph in graphs.items()
                if names.get(field) != OCCLUDER
            )
            else 1,
            notes=(
                *self._explain(asked, choice),
                *_other_boost(choice.name, sides, options),
                *(graph.note for graph in graphs.values() if graph.note),
                *_unused_fidelity(enhancer, options.enhance),
            ),
        )

    def sample_maker(self, name: str) -> SampleMaker:
        """Return what makes the calibration samples of a swapping or restoring network.

        Raises:
            ParameterError: The network is of another role.
            WeightsError: It, or a network that it needs, is missing or corrupt.
            RuntimeUnavailable: A network cannot be prepared or run.
        """
        network = self.store.network(name)
        if network.role not in ("swapper", "restorer"):
            allowed = ", ".join(
                known.name for role in ("swapper", "restorer") for known in self._installable(role)
            )
            raise ParameterError(
                f"{name} is of the role {network.role}, and only swappers and restorers run at "
                f"other precisions than fp32; allowed: {allowed}."
            )
        self._require(f"The {network.role} {name}", name)
        batches = self.fp32_graph(name).batches
        if network.role == "restorer":
            return _restorer_samples(Restorer(network, batches))
        return _swapper_samples(NeuralSwapper(network, batches, self.encoder(network)))

    def choice(self, asked: str, pixel_boost: int | None) -> Choice:
        """Return the name of the swapper that is asked for, and why; raises as `choose` does."""
        known = self._installable("swapper")
        if asked != AUTO:
            names = (MeshWarp.name, *(network.name for network in known))
            resolve("swapper", asked, names, self.store.has)
            if asked != MeshWarp.name:
                self._require(f"The swapper {asked}", asked)
            return Choice(asked, "it was asked for")
        able = [
            network
            for network in known
            if pixel_boost is None or supports_size(pixel_boost, network.input.size)
        ]
        able_to = "" if pixel_boost is None else f" that swaps at {pixel_boost}x{pixel_boost}"
        for network in able:
            if not self.store.missing(network.name):
                return Choice(network.name, f"of those installed it comes first{able_to}")
        for network in able:
            missing = self.store.missing(network.name)
            if network.name not in missing:
                why = f"{network.name} is installed, but {' and '.join(missing)} it needs is not"
                return Choice(MeshWarp.name, why)
        unable = [
            f"{network.name} at whole multiples of {network.input.size}x{network.input.size}"
            for network in known
            if network not in able and not self.store.missing(network.name)
        ]
        if unable:
            return Choice(
                MeshWarp.name,
                f"none of those installed swaps at {pixel_boost}x{pixel_boost}: "
                f"{' and '.join(unable)}",
            )
        return Choice(MeshWarp.name, "the embedded swapper is the only one there is")

    def needed(self, name: str) -> tuple[str, ...]:
        """Return the names of a swapper's networks; `mesh` and callers' own swappers have none."""
        known = [network for network in self._installable("swapper") if network.name == name]
        return tuple(one for network in known for one in (network.name, *network.needs))

    def encoder(self, network: Network) -> SourceEncoder:
        """Return the source encoder of a swapping network; raises as `choose` does."""
        source = network.source
        if source is None or source.kind == "embedding":
            return EMBEDDING_ENCODER
        if source.kind == "latent":
            return EmapEncoder(load_emap(self.store, network.name))
        if source.input is not None:
            return CropEncoder(source.input, alignment_points)
        crop = CropEncoder(self.store.network(EMBEDDER).input, alignment_points)
        converter = self.fp32_graph(source.converter).batches
        return ConverterEncoder(self.session(EMBEDDER), crop, converter, source.unit)

    def _names(self, options: SwapOptions) -> Iterator[tuple[str, str]]:
        """Yield each parameter that asks for a further network with that network's name."""
        limits, enhance = options.limits, options.enhance
        asked: tuple[tuple[str, str | None, Role, bool], ...] = (
            ("occluder", limits.occluder, "occluder", True),
            ("parser", limits.parser, "parser", limits.regions != ()),
            ("enhance", enhance.enhancer, "restorer", enhance.blend > 0),
        )
        for field, name, role, of_use in asked:
            if name is not None:
                found = self._resolve(field, name, role)
                if of_use:
                    yield field, self._require_found(field, name, role, found)

    def _graph(self, field: str, name: str) -> Graph:
        if name == OCCLUDER:
            return Graph(Batches(self.session(name)))
        return self.graph(name) if field == "enhance" else self.fp32_graph(name)

    def _occluder(self, names: dict[str, str], graphs: dict[str, Graph]) -> Occluder | None:
        if "occluder" not in names:
            return None
        name, batches = names["occluder"], graphs["occluder"].batches
        if name == OCCLUDER:
            return Occluder(self.store.weight(name), batches, within_face=True)
        return Occluder(self.store.network(name), batches)

    def _limiters(
        self, names: dict[str, str], graphs: dict[str, Graph], options: LimitOptions
    ) -> Iterator[Limiter]:
        if "parser" in names:
            network = self.store.network(names["parser"])
            yield RegionLimiter(network, graphs["parser"].batches, options.regions)
        if options.keep_mouth:
            yield MouthLimiter()

    def _neural(self, name: str, graph: Graph, options: SwapOptions) -> NeuralSwapper:
        network = self.store.network(name)
        return NeuralSwapper(
            network, graph.batches, self.encoder(network), source_weight=options.source_weight
        )

    def _restorer(self, name: str, graph: Graph, options: EnhanceOptions) -> Restorer:
        return Restorer(
            self.store.network(name),
            graph.batches,
            blend=options.blend,
            fidelity=options.fidelity,
        )

    def _resolve(self, field: str, asked: str, role: Role) -> str | None:
        own, others = ((OCCLUDER,), ("none",)) if role == "occluder" else ((), ())
        names = (*own, *(network.name for network in self._installable(role)))
        return resolve(field, asked, names, self.store.has, others=others)

    def _require_found(self, field: str, asked: str, role: Role, found: str | None) -> str:
        """Return the network that was found, with all that it needs.

        Raises:
            WeightsMissing: It, or one that it needs, is not installed.
        """
        if found is None:
            # Users who limit a swap to regions need not know what a parser is.
            why = "face_region needs a parser; " if field == "parser" else ""
            known = ", ".join(network.name for network in self._installable(role))
            raise WeightsMissing(
                f"{why}{field} is auto, but none of {known} is installed; bring one in with "
                "`faceswap-engine weights import PATH`."
            )
        if asked != AUTO and found != OCCLUDER:
            self._require(f"The {role} {asked}", asked)
        return found

    def _explain(self, asked: str | Swapper[Any], choice: Choice) -> Iterator[str]:
        """Yield why the embedded swapper was chosen although others were imported."""
        imported = any(self.store.has(one.name) for one in self._installable("swapper"))
        if imported and asked == AUTO and choice.name == MeshWarp.name:
            yield f"swapper is {choice.name}: {choice.reason}."

    def _require(self, what: str, name: str) -> None:
        missing = self.store.missing(name)
        if not missing:
            return
        needed = " and ".join(one for one in missing if one != name)
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        if name not in missing:
            fault = f"{what} needs {needed}, which {are} not installed"
        elif needed:
            fault = f"{what}, and {needed} that it needs, {are} not installed"
        else:
            fault = f"{what} {are} not installed"
        raise WeightsMissing(
            f"{fault}; bring {them} in with `faceswap-engine weights import PATH`."
        )

    def _installable(self, role: Role) -> list[Network]:
        """Return the networks of a role that can be imported, the preferred one first."""
        return [network for network in self.store.installable() if network.role == role]


def _swapper_samples(swapper: NeuralSwapper) -> SampleMaker:
    return SampleMaker(
        name=swapper.name,
        template=swapper.template,
        side=swapper.side,
        needs_embedding=swapper.needs_embedding,
        encode=lambda portrait: swapper.prepare([portrait]),
        sample=lambda target, source: swapper.inputs([target], [source]),
    )


def _restorer_samples(restorer: Restorer) -> SampleMaker:
    return SampleMaker(
        name=restorer.name,
        template=restorer.template,
        side=restorer.size,
        needs_embedding=False,
        encode=lambda _: None,
        sample=lambda target, _: restorer.inputs([target]),
    )


def _sides(neural: NeuralSwapper | None, options: SwapOptions) -> tuple[int, ...]:
    """Return the sides in pixels that crops may have.

    Raises:
        ParameterError: The network does not support the one that is asked for.
    """
    able = tuple(
        side for side in PIXEL_BOOSTS if neural is None or supports_size(side, neural.side)
    )
    boost = options.pixel_boost
    if boost is None:
        return able
    if neural is not None and boost not in able:
        if options.exact_boost:
            neural.require_size(boost)
        boost = next(side for side in able if side > boost)
    return (boost,)


def _other_boost(name: str, sides: tuple[int, ...], options: SwapOptions) -> Iterator[str]:
    boost = options.pixel_boost
    if boost is not None and boost not in sides:
        yield (
            f"pixel_boost is {sides[0]}x{sides[0]}, as none was asked for and {name} cannot do "
            f"{boost}x{boost}."
        )


def _unused_fidelity(restorer: Restorer | None, options: EnhanceOptions) -> Iterator[str]:
    if restorer is None:
        return
    if not restorer.takes_fidelity and options.fidelity != EnhanceOptions().fidelity:
        yield f"enhance_fidelity has no effect: {restorer.name} takes none."
