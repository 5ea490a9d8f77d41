"""The engine: plays turns. It is the only place that freezes, differentiates, reduces, clips, steps and averages.

It knows players and turns, never a loss, a network, a game or a kind of data. Resuming equals never having stopped: every round is reseeded
from (seed, attempt, rank, round), and the data of a round is a function of its number.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from agon import ranks
from agon.errors import InputError, suggest
from agon.game import Batch, Clock, Dice, Game, Players, Turn, mix
from agon.optim import advance, build
from agon.stats import Stats


class Engine:
    """Plays a game's turns on its players.

    space: passed to `game.cast`; its `normalise` turns a stored batch into the players' range, on the device.
    microbatch: samples per forward pass on each rank (None: the whole batch). seed: of everything random.
    compile: compile whole turns, falling back to eager with a reported reason.
    """

    def __init__(
        self,
        game: Game,
        space: Any,
        *,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        microbatch: int | None = None,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        self.game, self.space, self.seed = game, space, seed
        self.device = torch.device(device)
        self.precision, self.microbatch = precision, microbatch
        self.clock, self.attempt, self.skipped = Clock(), 0, 0
        self.streaks = dict.fromkeys(game.optim, 0)  # of each player, since the good steps of one say nothing of another
        self.stats = Stats()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        torch.manual_seed(mix(seed))
        modules = {name: module.to(self.device).train() for name, module in game.cast(space).items()}
        self.channels_last = channels_last and any(p.dim() == 4 for net in modules.values() for p in net.parameters())
        if self.channels_last:
            for net in modules.values():
                _channels_last(net)
        self.players = Players.build(modules, game.ema)
        ranks.broadcast_([t for net in self.players._modules.values() for t in (*net.parameters(), *net.buffers())])
        for name, average in self.players.averages.items():
            average.load_state_dict(self.players[name].state_dict())
            average.requires_grad_(False)
        self.turns = game.programme()
        self._check_turns()
        self._parameters = {name: list(net.parameters()) for name, net in self.players.items()}
        self._moving: dict[str, bool] = {}
        self._props = [name for name, net in self.players.items() if name not in game.optim and not getattr(net, "per_rank", False)]
        self._held = [b for name in self._props if not self._parameters[name] for b in self.players[name].buffers()]
        saved = [t for _, net in self.players.items() for t in net.state_dict(keep_vars=True).values() if t.is_floating_point()]
        # A buffer that begins with an infinity has it on purpose, as masks do.
        self._counted = {id(t): t for t in saved if isinstance(t, nn.Parameter) or bool(t.isfinite().all())}
        self._lazy = {name: self._lazy_interval(name) for name in game.optim}
        self._optimisers = {
            name: build(spec, self._parameters[name], self.device) for name, spec in game.optim.items() if self._parameters[name]
        }
        fused = all(optimiser.defaults.get("fused") for optimiser in self._optimisers.values())
        self._deferred = torch.zeros(len(self.streaks) + 1, device=self.device) if self.device.type == "cuda" and fused else None
        self._losses = [self._compiled(turn) if compile and turn.loss else turn.loss for turn in self.turns]
        self._plays = max((turn.batch + turn.repeat for turn in self.turns), default=1)

    # -- construction ------------------------------------------------------------------------------------------------------------

    @property
    def batches_per_round(self) -> int:
        """Fresh batches a round needs: as many as its turns see."""
        return self._plays

    def _check_turns(self) -> None:
        if not self.turns:
            raise InputError(f"{type(self.game).__name__}.turns() returned no turn; expected at least one.")
        known = list(self.players)
        for turn in self.turns:
            for mover in turn.moves:
                if mover not in known:
                    raise InputError(f"turn '{turn.name}' moves '{mover}'; players are {', '.join(known)}.{suggest(mover, known)}")
                if turn.loss is not None and mover not in self.game.optim:
                    raise InputError(f"turn '{turn.name}' moves '{mover}', which has no optimiser; add it to the game's `optim`.")
        for name in self.game.optim:
            if name not in known:
                raise InputError(f"optim names '{name}', which is no player; players are {', '.join(known)}.{suggest(name, known)}")

    def _lazy_interval(self, name: str) -> int:
        return min((turn.every for turn in self.turns if turn.lazy and name in turn.moves), default=1)

    def _compiled(self, turn: Turn) -> Callable[..., Any]:
        assert turn.loss is not None
        eager, broken = turn.loss, False
        compiled: Callable[..., Any] = torch.compile(eager)

        def loss(p: Players, batch: Batch, clock: Clock) -> Any:
            nonlocal broken
            if broken:
                return eager(p, batch, clock)
            dice = p.dice
            start = dice._draws if dice else 0
            try:
                return compiled(p, batch, clock)
            except InputError:
                raise
            except Exception as error:
                broken = True
                if dice:
                    dice._draws = start
                reason = str(error).strip().split("\n")[0] or type(error).__name__
                self.notes.append(("compile", {"turn": turn.name, "fallback": "eager", "reason": reason[:300]}))
                return eager(p, batch, clock)

        return loss

    # -- playing -----------------------------------------------------------------------------------------------------------------

    def round(self, batches: Sequence[Mapping[str, Any]]) -> None:
        """Play one round on stored batches (this rank's share), one for each repeat."""
        rank, world = ranks.rank(), ranks.size()
        torch.manual_seed(mix(self.seed, self.attempt, rank, self.clock.round))
        shares = [self._cut(batch) for batch in batches]
        for index, turn in enumerate(self.turns):
            if turn.played(self.clock.round):
                for play in range(turn.repeat):
                    self._play(index, turn, play, *shares[(turn.batch + play) % len(shares)], rank, world)
        seen = sum(n for _, n in shares) * world
        self._average(seen)
        self.clock = Clock(self.clock.round + 1, self.clock.seen + seen)

    def _cut(self, batch: Mapping[str, Any]) -> tuple[list[Batch], int]:
        """Move a batch to the device, normalise it and cut it into microbatches, once per round so that the blackboard survives."""
        n = len(next(iter(batch.values())))
        ready: dict[str, Any] = {k: v.to(self.device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
        ready = self.space.ready(ready)
        if self.channels_last:
            for key, value in ready.items():
                if isinstance(value, Tensor) and value.dim() == 4:
                    ready[key] = value.contiguous(memory_format=torch.channels_last)
        step = self.microbatch or n
        return [Batch({k: v[i : i + step] for k, v in ready.items()}) for i in range(0, n, step)], n

    def _play(self, index: int, turn: Turn, play: int, chunks: list[Batch], n: int, rank: int, world: int) -> None:
        players, clock = self.players, self.clock
        seed = mix(self.seed, self.attempt, clock.round, index, play)
        loss = self._losses[index]
        if loss is None:
            self._change(turn, seed, chunks, n, rank, world)
            return
        self._freeze_all_but(turn.moves)
        movers = [self._optimisers[name] for name in turn.moves]
        for optimiser in movers:
            optimiser.zero_grad(set_to_none=True)
        low = rank * n
        for chunk in chunks:
            size = len(next(iter(chunk.values())))
            players.dice = Dice(seed, low, low + size, n * world, self.device)
            low += size
            with self._autocast():
                terms = loss(players, chunk, clock)
            total = self._total(turn, terms, size / n)
            scale = turn.gain * size / n
            (total if scale == 1.0 else total * scale).backward()
        players.dice = None
        for name, optimiser in zip(turn.moves, movers, strict=True):
            self._step(name, optimiser)

    @torch.no_grad()
    def _change(self, turn: Turn, seed: int, chunks: list[Batch], n: int, rank: int, world: int) -> None:
        """Play a turn that has no loss: a microbatch is to its buffers what a rank is, each starts from the same and the mean is kept.

        A step that leaves a prop not finite leaves all props as they were, as an update that is not finite leaves its player.
        """
        players, low = self.players, rank * n
        assert turn.step is not None
        kept = [b for _, net in players.items() if not getattr(net, "per_rank", False) for b in net.buffers()] if len(chunks) > 1 else []
        before = [b.clone() for b in kept]
        change = [torch.zeros_like(b) for b in kept]
        safe = [b.clone() for b in self._held]
        for chunk in chunks:
            size = len(next(iter(chunk.values())))
            for b, old in zip(kept, before, strict=True):
                b.copy_(old)
            players.dice = Dice(seed, low, low + size, n * world, self.device)
            low += size
            for name, figure in (turn.step(players, chunk, self.clock) or {}).items():
                self.stats.report(f"{turn.name}/{name}", figure, size / n)
            for b, old, sum_ in zip(kept, before, change, strict=True):
                if b.is_floating_point():
                    sum_.add_(b - old, alpha=size / n)
        for b, old, sum_ in zip(kept, before, change, strict=True):
            if b.is_floating_point():
                b.copy_(old + sum_)
        players.dice = None
        # Each rank saw its own batch; what a prop keeps of it must be alike on all of them.
        ranks.mean_([b for name in self._props for b in players[name].buffers() if b.is_floating_point()])
        now = (b for name in self._props if not self._parameters[name] for b in players[name].buffers())
        if not all(map(operator.is_, now, self._held)):
            raise InputError(
                f"turn '{turn.name}' put a new tensor in the place of a buffer; change it in place, as by `p.NAME.buffer.copy_(…)`."
            )
        if safe:
            # A step may see what made an update be skipped; taken into a running mean it would stay there for good. Nothing waits for the device.
            sound = _finite([b for b in self._held if id(b) in self._counted], self.device)
            for b, old in zip(self._held, safe, strict=True):
                torch.where(sound, b, old, out=b)

    def _total(self, turn: Turn, terms: Any, weight: float) -> Tensor:
        if not isinstance(terms, dict) or not terms:
            raise InputError(f"turn '{turn.name}' must return its terms by name, such as {{'adv': loss}}; got {type(terms).__name__}.")
        total: Tensor | None = None
        for name, term in terms.items():
            if not isinstance(term, Tensor) or term.dim() != 0:
                shape = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
                raise InputError(f"turn '{turn.name}': every term must be a scalar, got '{name}' of shape {shape}. Reduce with .mean().")
            self.stats.report(f"{turn.name}/{name}", term, weight)
            total = term if total is None else total + term
        assert total is not None
        if not total.requires_grad:
            raise InputError(
                f"turn '{turn.name}': its terms do not depend on {', '.join(turn.moves)}, which it moves. "
                "Check for a .detach() or no_grad, or move another player."
            )
        return total.float()

    def _freeze_all_but(self, moves: Sequence[str]) -> None:
        for name, parameters in self._parameters.items():
            moving = name in moves
            if self._moving.get(name) is not moving:
                for parameter in parameters:
                    parameter.requires_grad_(moving)
                self._moving[name] = moving

    def _autocast(self) -> AbstractContextManager[Any]:
        return sixteen_bits(self.device) if self.precision == "bf16" else nullcontext()

    def _step(self, name: str, optimiser: torch.optim.Optimizer) -> None:
        spec = self.game.optim[name]
        gradients = [p.grad for p in self._parameters[name] if p.grad is not None]
        ranks.mean_(gradients)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self._finite(name, norm, optimiser):
            self.stats.report(f"{name}/grad", norm.nan_to_num(0.0, 0.0, 0.0) if self._deferred is not None else norm)
            if spec.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(self._parameters[name], spec.clip, norm)
            advance(optimiser, spec, self.clock, self._lazy[name])
            optimiser.step()

    def _finite(self, name: str, norm: Tensor, optimiser: torch.optim.Optimizer) -> bool:
        """Whether to step. Gradients are alike on all ranks here, so all decide alike.

        Where reading a number would stall the device, the fused optimiser itself is told to skip and the count is read at the next tick.
        """
        if self._deferred is not None:
            bad = (~norm.isfinite()).float()
            optimiser.found_inf = bad  # type: ignore[attr-defined]
            self._deferred[list(self.streaks).index(name)].add_(1).mul_(bad)
            self._deferred[-1].add_(bad)
            return True
        good = bool(norm.isfinite())
        self.streaks[name] = 0 if good else self.streaks[name] + 1
        if not good:
            self.skipped += 1
            self._note_skip(name, self.streaks[name])
        return good

    @property
    def streak(self) -> int:
        """The most updates in a row that one player's gradients left not finite, up to now."""
        return max(self.streaks.values(), default=0)

    def _note_skip(self, name: str, streak: int) -> None:
        self.notes.append(("skip", {"player": name, "in_a_row": streak, "skipped": self.skipped}))

    def _count_from(self, streaks: Mapping[str, int], skipped: int) -> None:
        self.streaks, self.skipped = {name: streaks.get(name, 0) for name in self.streaks}, skipped
        if self._deferred is not None:
            self._deferred = torch.tensor([*self.streaks.values(), skipped], dtype=torch.float32, device=self.device)

    def settle(self) -> None:
        """Bring the skip counts up to date (one synchronisation where they live on the device)."""
        if self._deferred is not None:
            *streaks, skipped = (int(x) for x in self._deferred.tolist())
            news, self.skipped = skipped > self.skipped, skipped
            self.streaks = dict(zip(self.streaks, streaks, strict=True))
            if news:
                self._note_skip(max(self.streaks, key=self.streaks.__getitem__) if self.streak else "", self.streak)

    @torch.no_grad()
    def _average(self, batch: int) -> None:
        if ranks.size() > 1:  # before the copies are made, so that these are alike as well
            averaged = [net for name, net in self.players.items() if name in self.game.optim]
            ranks.mean_([b for net in averaged for b in net.buffers() if b.is_floating_point()])
        after = Clock(self.clock.round, self.clock.seen + batch)
        for name, average in self.players.averages.items():
            net, decay = self.players[name], self.game.ema[name].decay(batch, after)
            torch._foreach_lerp_([*average.parameters()], [*self._parameters[name]], 1.0 - decay)
            for kept, fresh in zip(average.buffers(), net.buffers(), strict=True):
                kept.copy_(fresh)

    # -- state -------------------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a resumed run needs: tensors by name (on the CPU they share memory with the players), and a JSON-able rest."""
        self.settle()
        tensors: dict[str, Tensor] = {}
        scalars: dict[str, float] = {}
        for name, net in self.players.items():
            tensors |= {f"players/{name}/{k}": v for k, v in net.state_dict().items()}
        for name, net in self.players.averages.items():
            tensors |= {f"ema/{name}/{k}": v for k, v in net.state_dict().items()}
        for name, optimiser in self._optimisers.items():
            for i, parameter in enumerate(self._parameters[name]):
                for key, value in optimiser.state.get(parameter, {}).items():
                    if isinstance(value, Tensor):
                        tensors[f"optim/{name}/{i}/{key}"] = value
                    elif value is not None:
                        scalars[f"optim/{name}/{i}/{key}"] = value
        tensors = {k: v.detach().contiguous().cpu() for k, v in tensors.items()}
        counts = {"round": self.clock.round, "seen": self.clock.seen, "attempt": self.attempt, "skipped": self.skipped}
        return tensors, {**counts, "streaks": dict(self.streaks), "seed": self.seed, "scalars": scalars}

    def load_state(self, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
        """Take up a state. Raises InputError if it belongs to other players."""
        with torch.no_grad():
            for group, nets in (("players", dict(self.players.items())), ("ema", self.players.averages)):
                for name, net in nets.items():
                    own = net.state_dict()
                    prefix = f"{group}/{name}/"
                    saved = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
                    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in saved.items()}:
                        wrong = sorted(
                            k for k in own.keys() | saved.keys() if k not in own or k not in saved or own[k].shape != saved[k].shape
                        )
                        raise InputError(f"the saved state does not fit player '{name}' ({wrong[0]} and {len(wrong) - 1} more differ); "
                                         "it was made with other settings. Train in a new directory with --out.")  # fmt: skip
                    for key, value in own.items():
                        value.copy_(saved[key])
        for name, optimiser in self._optimisers.items():
            optimiser.state.clear()
            for i, parameter in enumerate(self._parameters[name]):
                prefix = f"optim/{name}/{i}/"
                entry: dict[str, Any] = {k[len(prefix) :]: v for k, v in rest["scalars"].items() if k.startswith(prefix)}
                for key in (
                    "step",
                    "exp_avg",
                    "exp_avg_sq",
                    "max_exp_avg_sq",
                    "square_avg",
                    "momentum_buffer",
                    "grad_avg",
                ):
                    value = tensors.get(prefix + key)
                    if value is not None:
                        like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                        on_device = value.dim() > 0 or optimiser.defaults.get("fused")
                        entry[key] = like.to(self.device if on_device else "cpu", value.dtype).copy_(value)
                if entry:
                    optimiser.state[parameter] = entry
        self.clock = Clock(rest["round"], rest["seen"])
        self.attempt = rest["attempt"]
        # States of 0.1's first weeks know one streak of all players together.
        self._count_from(rest["streaks"] if "streaks" in rest else dict.fromkeys(self.streaks, rest["streak"]), rest["skipped"])
        self.stats = Stats()

    def reseed(self, attempt: int, skipped: int) -> None:
        """Play on from a loaded state with other noise. skipped: the count of skipped updates to go on counting from."""
        self.attempt = attempt
        self._count_from({}, skipped)

    def healthy(self) -> bool:
        """Whether every weight and every number that a player keeps is finite, on all ranks; only such a state is worth saving."""
        return not ranks.any_true(not bool(_finite([*self._counted.values()], self.device)))


def _finite(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Whether all numbers of these tensors are finite, a scalar that stays on the device."""
    sums = [torch.zeros((), device=device), *(t.detach().sum().float() for t in tensors)]
    return torch.stack(sums).sum().isfinite()


def _channels_last(net: nn.Module) -> None:
    """Bring what is four-dimensional to channels-last memory; `Module.to` would refuse five-dimensional weights of 3-D convolutions."""
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def sixteen_bits(device: torch.device) -> Iterator[None]:
    """Autocast to bf16. On a processor without 16-bit units oneDNN, which has no LSTM there, is left aside."""
    with ExitStack() as stack:
        if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of TF32 on Intel's GPUs, which nobody asked for
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        yield
