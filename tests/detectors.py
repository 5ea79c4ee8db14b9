"""Own detectors on tiny pictures, with mean colours in place of the pretrained features."""

import io
import zipfile

import torch
import torch.nn.functional as F
from PIL import Image

from ebm_core.detector.contrastive import ContrastiveConfig
from ebm_core.detector.fit import FitOptions, LevelOptions, fit
from ebm_core.langevin import LangevinConfig
from ebm_core.picture_files import open_files
from ebm_core.pictures import Limits

QUICK = ContrastiveConfig(iterations=3, batch=8, width=8, langevin=LangevinConfig(2, 0.05, 0.1**0.5), past=16)
OPTIONS = FitOptions(size=64, whole=LevelOptions(2, 40, False, QUICK), places=LevelOptions(3, 50, True, QUICK))


class Colours(torch.nn.Module):
    """Mean colours of squares of 8, 16 and 32 pixels."""

    def forward(self, x, blocks):
        return [F.avg_pool2d(x, side) for side in (8, 16, 32)]


def picture(number, mean=100.0, size=16):
    """A smooth picture about as bright as ``mean``."""
    rng = torch.Generator().manual_seed(number)
    coarse = mean + 8 * torch.randn(1, 3, 4, 4, generator=rng)
    return F.interpolate(coarse, size=(size, size), mode="bilinear")[0].clamp(0, 255).to(torch.uint8)


def png(u8):
    buffer = io.BytesIO()
    Image.fromarray(u8.permute(1, 2, 0).numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path, pictures):
    """A zip of files by their name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in pictures.items():
            archive.writestr(name, data)
    return path


def normal(num, size=16):
    return {f"{number:03d}.png": png(picture(number, size=size)) for number in range(num)}


def fitted(path, options=OPTIONS):
    """All progress and the fit of the pictures at ``path``."""
    seen = []
    with open_files(path, Limits()) as files:
        steps = fit(files, options, {"data": "made up"})
        while True:
            try:
                seen.append(next(steps))
            except StopIteration as end:
                return seen, end.value
