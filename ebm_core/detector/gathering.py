"""Reading a person's pictures for a detector: features of those to fit, pixels of those held out, and an account."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b

import torch
from torch import Generator, Tensor

from ebm_core.detector.points import Extractor, Features
from ebm_core.picture_files import Files, printable
from ebm_core.pictures import Limits, Picture, PictureError, read_picture

FEWEST, ADVISED, MOST = 20, 50, 50_000  # pictures
HOLD_OUT_EVERY = 5  # of the distinct pictures one is held out ...
MOST_HELD_OUT = 500  # ... up to so many
MOST_WHOLE = 20_000  # pictures whose pooled features are kept
MOST_PLACES = 65_536  # patch features that are kept, as many of each picture
BATCH = 16
DECODERS = 2  # threads


@dataclass
class Account:
    """What became of the files."""

    num: int = 0  # distinct pictures that were used
    num_copies: int = 0  # pixel for pixel like one that was read before
    num_passed_over: int = 0  # beyond the most
    unreadable: dict[str, str] = field(default_factory=dict)  # the reason by the name
    notes: Counter[str] = field(default_factory=Counter)  # what was done to pictures, without its numbers

    def sentences(self) -> list[str]:
        """What a person should know of the files, a line each."""
        said = [f"not read: {name}: {reason}" for name, reason in self.unreadable.items()]
        if self.num_copies:
            said.append(f"copies of others, which count once: {self.num_copies}")
        if self.num_passed_over:
            said.append(f"left out, for {MOST:,} drawn at random are enough: {self.num_passed_over:,}")
        return said + [f"{note}: {num} of {self.num} pictures" for note, num in sorted(self.notes.items())]

    def check(self) -> None:
        """Raises ValueError, in one sentence, when there are too few pictures to tell what is normal."""
        if self.num >= FEWEST:
            return
        reasons = [f"{len(self.unreadable)} could not be read"] if self.unreadable else []
        reasons += [f"{self.num_copies} are copies of others"] if self.num_copies else []
        why = f" ({', '.join(reasons)})" if reasons else ""
        raise ValueError(
            f"a detector needs {FEWEST} different normal pictures or more, better {ADVISED}, and there are "
            f"{self.num}{why}; add pictures"
        )


class Gathered:
    """``whole (N, F)`` and ``places (M, C)``, features of the pictures to fit; ``held_out``, others uint8
    ``(H, 3, S, S)``."""

    def __init__(self, size: int) -> None:
        self.size, self.account = size, Account()
        self._whole: list[Tensor] = []
        self._places: list[Tensor] = []
        self._held_out: list[Tensor] = []

    @property
    def whole(self) -> Tensor:
        return torch.cat(self._whole).float()

    @property
    def places(self) -> Tensor:
        return torch.cat(self._places).float()

    @property
    def held_out(self) -> Tensor:
        return torch.stack(self._held_out)

    def read(
        self, files: Files, extractor: Extractor, limits: Limits, rng: Generator, device: str = "cpu"
    ) -> Iterator[int]:
        """Read all files in a random order; yields how many are done, now and then.

        Raises ValueError as ``Account.check`` does.
        """
        order = torch.randperm(len(files.names), generator=rng).tolist()
        names = [files.names[i] for i in order[:MOST]]
        self.account.num_passed_over = len(order) - len(names)
        per_picture = -(-MOST_PLACES // len(names))
        seen: set[bytes] = set()

        def decode(name: str) -> Picture | PictureError:
            try:
                return read_picture(files.read(name), self.size, 3, limits)
            except PictureError as error:
                return error

        with ThreadPoolExecutor(DECODERS) as pool:
            parts = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
            ahead = pool.map(decode, parts[0])
            for number, part in enumerate(parts):
                results = list(ahead)
                ahead = pool.map(decode, parts[number + 1]) if number + 1 < len(parts) else iter(())
                fresh = self._distinct(part, results, seen)
                if fresh:
                    self._keep(extractor.of(torch.stack(fresh), device), per_picture, rng)
                yield number * BATCH + len(part)
        self.account.check()

    def _distinct(self, names: list[str], results: list[Picture | PictureError], seen: set[bytes]) -> list[Tensor]:
        """Pictures that are to be fitted; others are held out, or only counted."""
        fresh = []
        for name, result in zip(names, results, strict=True):
            if isinstance(result, PictureError):
                self.account.unreadable[printable(name)] = str(result)
                continue
            digest = blake2b(result.u8.numpy().tobytes(), digest_size=16).digest()
            if digest in seen:
                self.account.num_copies += 1
                continue
            seen.add(digest)
            self.account.num += 1
            self.account.notes.update(re.split(r" (?:of|from) \d", note)[0] for note in result.notes)
            if self.account.num % HOLD_OUT_EVERY == 0 and len(self._held_out) < MOST_HELD_OUT:
                self._held_out.append(result.u8)
            else:
                fresh.append(result.u8)
        return fresh

    def _keep(self, features: Features, per_picture: int, rng: Generator) -> None:
        if sum(map(len, self._whole)) < MOST_WHOLE:
            self._whole.append(features.whole.half())
        places = features.places.flatten(2).transpose(1, 2)  # (B, h * w, C)
        few = torch.rand(places.shape[:2], generator=rng).argsort(dim=1)[:, :per_picture]
        self._places.append(places.gather(1, few[..., None].expand(-1, -1, places.shape[2])).flatten(0, 1).half())
