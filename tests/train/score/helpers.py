"""Pictures to score, and a run over them."""

import pyarrow.parquet
import torch

from ebm_core import images
from ebm_core.picture_files import open_files
from train.parallel import Processes
from train.score.detector import load_detector
from train.score.engine import Options, score

ALONE = Processes()
SMALL = Options(batch=2, save_every=3)


def picture(number):
    generator = torch.Generator().manual_seed(number)
    return torch.randint(256, (3, 8, 8), generator=generator, dtype=torch.uint8)


def png(number):
    return images.encode(images.to_pil(picture(number)), "PNG")


def table(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def score_all(path, model, out, options=SMALL, processes=ALONE):
    with open_files(path, options.limits) as files:
        return score(files, load_detector(str(model), "cpu"), out, options, processes)
