"""Pictures that are wrong, made of a person's own right ones: what methods are compared on where no outliers are.

Each kind stands for a way in which a picture can fail to belong. What is made is of the very pictures, so that nothing
but the fault tells it from them: brightness, camera and size are theirs.

=========  ==================================================================================================
kind       the fault it stands for
=========  ==================================================================================================
scar       a small mark of another colour: a scratch, a stain (CutPaste's scar; Li et al., 2021, arXiv:2104.04015)
paste      a part that should not be there: a rectangle of another picture (CutPaste)
jigsaw     right parts in wrong places: the four quarters shuffled
close-up   another thing of the same stuff: a quarter of the picture, enlarged
turned     the same thing in a wrong position: a quarter of a turn
=========  ==================================================================================================
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SCAR, PASTE = (0.002, 0.02), (0.02, 0.15)  # areas, as shares of the picture
OBLONG = 1.2  # standard deviation of the logarithm of a scar's sides' ratio, and ...
BLOCKY = 0.4  # ... of a pasted part's


def scar(u8: Tensor, rng: Generator) -> Tensor:
    """Rectangles of the pictures themselves, their colours shifted, somewhere else in them."""
    return _pasted(u8, u8, SCAR, OBLONG, rng, recolour=True)


def paste(u8: Tensor, rng: Generator) -> Tensor:
    """A rectangle of the next picture in each."""
    return _pasted(u8, u8.roll(1, 0), PASTE, BLOCKY, rng, recolour=False)


def jigsaw(u8: Tensor, rng: Generator) -> Tensor:
    """The quarters of each picture in another order."""
    side = u8.shape[-1] // 2
    quarters = [u8[..., y : y + side, x : x + side] for y in (0, side) for x in (0, side)]
    shift = 1 + int(torch.randint(3, (), generator=rng))
    a, b, c, d = (quarters[(i + shift) % 4] for i in range(4))
    return torch.cat([torch.cat([a, b], dim=3), torch.cat([c, d], dim=3)], dim=2)


def close_up(u8: Tensor, rng: Generator) -> Tensor:
    """A square of a quarter of each picture's area, enlarged."""
    side = u8.shape[-1]
    parts = []
    for picture in u8:
        y, x = torch.randint(side - side // 2 + 1, (2,), generator=rng).tolist()
        parts.append(picture[:, y : y + side // 2, x : x + side // 2])
    return F.interpolate(torch.stack(parts).float(), size=(side, side), mode="bilinear").round().to(torch.uint8)


def turned(u8: Tensor, rng: Generator) -> Tensor:
    """By a quarter of a turn, to the left or to the right."""
    return torch.stack([p.rot90(k, (1, 2)) for p, k in zip(u8, (1, 3) * len(u8))])


KINDS: Mapping[str, Callable[[Tensor, Generator], Tensor]] = {
    "scar": scar,
    "paste": paste,
    "jigsaw": jigsaw,
    "close-up": close_up,
    "turned": turned,
}


def _pasted(
    u8: Tensor, source: Tensor, areas: tuple[float, float], oblong: float, rng: Generator, *, recolour: bool
) -> Tensor:
    """A rectangle of each of ``source`` at another place of the picture ``u8`` uint8 ``(B, C, S, S)`` beside it."""
    pictures, size = u8.clone(), u8.shape[-1]
    for picture, other in zip(pictures, source):
        share = areas[0] + (areas[1] - areas[0]) * torch.rand((), generator=rng)
        ratio = torch.exp(oblong * torch.randn((), generator=rng))
        height, width = (int((share * r).sqrt() * size) for r in (ratio, 1 / ratio))
        height, width = (min(size, max(2, side)) for side in (height, width))
        rows, columns = (torch.randint(size - side + 1, (2,), generator=rng).tolist() for side in (height, width))
        part = other[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width].float()
        if recolour:
            gain, shift = torch.rand(2, len(part), 1, 1, generator=rng)
            part = part * (0.5 + gain) + 160 * (shift - 0.5)
        picture[:, rows[1] : rows[1] + height, columns[1] : columns[1] + width] = part.clamp(0, 255).to(torch.uint8)
    return pictures
