"""The table of scores: a part for every so many files, and the whole put together from them, one row per file.

A part appears under its name only when it is whole, so what a killed process leaves behind can be trusted.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from torch import Tensor

from ebm_core.files import replacing, spreadsheet_text, write_atomically
from ebm_core.picture_files import printable

IN, OUT = "in-distribution", "out-of-distribution"
SUFFIXES = (".parquet", ".csv")


def schema(score_names: Sequence[str], is_calibrated: bool) -> pa.Schema:
    """Columns: the file, its scores, percentile and verdict with a calibration, notes, and the error of one that
    could not be read, whose scores are null."""
    verdict = [("percentile", pa.float32()), ("verdict", pa.string())] if is_calibrated else []
    return pa.schema(
        [
            ("file", pa.string()),
            *((name, pa.float32()) for name in score_names),
            *verdict,
            ("notes", pa.string()),
            ("error", pa.string()),
        ]
    )


def rows(names: Sequence[str], columns: Mapping[str, Tensor], notes: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Rows of files that were scored: ``columns`` have a value for each, ``(B,)``; verdicts are booleans there."""
    values = {name: column.tolist() for name, column in columns.items()}
    if "verdict" in values:
        values["verdict"] = [OUT if is_out else IN for is_out in values["verdict"]]
    return [
        {"file": printable(name), "notes": "; ".join(said) or None} | {key: column[i] for key, column in values.items()}
        for i, (name, said) in enumerate(zip(names, notes, strict=True))
    ]


def write_part(path: Path, content: Sequence[Mapping[str, Any]], columns: pa.Schema) -> None:
    """Write rows in one piece."""
    write_atomically(path, part_bytes(content, columns))


def part_bytes(content: Sequence[Mapping[str, Any]], columns: pa.Schema) -> bytes:
    """Rows as a Parquet file; what a row does not have is null."""
    buffer = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(list(content), schema=columns), buffer)
    return buffer.getvalue()


def highest(parts: Sequence[Path], columns: pa.Schema, by: str, num: int) -> list[tuple[int, int, Any, Any, Any]]:
    """The ``num`` highest of the score ``by`` over all parts: number of the part and of the row, the score, percentile
    and verdict (None without a calibration), the highest first. Raises ValueError when a part is damaged."""
    chosen: list[tuple[int, int, Any, Any, Any]] = []
    for number, part in enumerate(parts if num else ()):
        table = _read_part(part, columns)
        rows = enumerate(zip(*(_column(table, name) for name in (by, "percentile", "verdict")), strict=True))
        chosen += [(number, row, *values) for row, values in rows if values[0] is not None]
        chosen = sorted(chosen, key=lambda one: -one[2])[:num]
    return chosen


def _column(table: pa.Table, name: str) -> list[Any]:
    return list(table[name].to_pylist()) if name in table.column_names else [None] * len(table)


def assemble(parts: Sequence[Path], out: Path, columns: pa.Schema) -> Iterator[tuple[str, str | None]]:
    """Write the whole table, parquet or CSV by its suffix, one part in memory at a time.

    In a CSV no text is a formula (``spreadsheet_text``). Yields every file with its error, None where there is none;
    ``out`` appears when the last has been taken. Raises ValueError when the disk refuses or a part is damaged.
    """
    with replacing(out) as file:
        make = pa.csv.CSVWriter if out.suffix == ".csv" else pa.parquet.ParquetWriter
        with make(file, columns) as writer:
            for part in parts:
                table = _read_part(part, columns)
                writer.write_table(_plain(table) if out.suffix == ".csv" else table)
                yield from zip(table["file"].to_pylist(), table["error"].to_pylist(), strict=True)


def _plain(table: pa.Table) -> pa.Table:
    columns = [
        pa.array([None if text is None else spreadsheet_text(text) for text in column.to_pylist()], pa.string())
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def _read_part(path: Path, columns: pa.Schema) -> pa.Table:
    try:
        return pa.parquet.read_table(io.BytesIO(path.read_bytes()), schema=columns)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it and run the same command again") from error
